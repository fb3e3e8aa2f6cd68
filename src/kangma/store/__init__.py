"""What storage promises, and one adapter a file."""
