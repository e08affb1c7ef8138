"""What clients cost an API process."""
