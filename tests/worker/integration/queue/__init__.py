"""Integration tests of claims and leases, on a real Valkey."""
