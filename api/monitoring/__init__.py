"""Health checks, metrics and trace spans of the API process."""
