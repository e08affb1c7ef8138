"""The HTTP API: authenticates, validates, and admits requests, and relays streams to clients.

It imports neither models nor pydantic-ai.
"""
