"""The current state of all credentials as bytes: Token Status Lists in CWT and JWT form, and deltas between them."""
