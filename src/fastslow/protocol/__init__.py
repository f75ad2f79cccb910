"""What a number means."""
