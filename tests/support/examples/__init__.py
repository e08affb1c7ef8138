"""The applications in `examples/`: as running processes, and their documented files."""
