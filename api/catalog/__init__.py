"""The agents and models that requests may name."""
