"""The signed object in the QR, and the nine steps by which a stranger checks it with no network."""
