"""Builds and runs both container images without a daemon, to test them."""
