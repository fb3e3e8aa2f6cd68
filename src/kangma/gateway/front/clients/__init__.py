"""What laboratories, platforms and other programs send and ask, and what they are told unasked."""
