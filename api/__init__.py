"""The HTTP API: authenticates, validates, and admits requests, and relays streams to clients.

It does not import pydantic-ai.
"""
