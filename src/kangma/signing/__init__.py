"""What it means to sign and to trust: keys and their ids, COSE messages, the root and its trust list."""
