"""One turn of the wheel: absorb, trace, judge, turn."""
