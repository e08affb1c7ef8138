"""Profiles: what models and servers support, by name, by server software, and by settings."""
