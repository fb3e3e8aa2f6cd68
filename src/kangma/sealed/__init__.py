"""Sealed slots: what a resident is shown, in public, for their own phone alone."""
