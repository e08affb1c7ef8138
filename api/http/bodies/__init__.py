"""The bodies of requests: their declared type, and their JSON."""
