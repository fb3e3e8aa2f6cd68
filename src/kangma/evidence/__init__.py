"""Columns that are always valid: a set of accepted rows, the live view of it, and the facts that rules may use."""
