"""Authentication of requests: credentials, the three modes, principals and scopes."""
