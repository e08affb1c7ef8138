"""Whole systems of real processes, for end-to-end tests."""
