"""Integration tests of the jobs of runs, on a real Valkey."""
