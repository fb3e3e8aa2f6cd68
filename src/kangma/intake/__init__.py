"""Hostile bytes → documents or refusals. Names and document numbers become a person key here and go no further."""
