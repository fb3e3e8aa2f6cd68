"""What residents and venues do at the door, a handler a deed."""
