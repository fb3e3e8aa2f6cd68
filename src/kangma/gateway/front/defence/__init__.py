"""What keeps the door open under a flood: the layers, limits, admission, proof of work, and who is told."""
