"""Credentials, certificates, a token issuer, and a small application with authentication."""
