"""Kangma: a health code derived from evidence by a published policy."""
