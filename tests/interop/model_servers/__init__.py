"""Model servers by others (aimock and LiteLLM), with their configuration and pinned versions."""
