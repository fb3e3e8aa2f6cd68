"""One turn of the wheel: absorb, trace, judge, turn."""

#: What the engine may use for a whole city; the rest of the machine belongs to the gateway.
MEMORY = "4GB"
