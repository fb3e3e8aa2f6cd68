"""Who is calling, and what they may do: rights, residents' tokens, programs' assertions."""
