"""What operators see on a port of its own: health, metrics, the state of the city behind the door."""
