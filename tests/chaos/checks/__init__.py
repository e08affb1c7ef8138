"""Checks of what clients saw and what the deployment left behind, and the recovery times."""
