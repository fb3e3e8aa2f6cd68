"""What is out against what should be → turns."""
