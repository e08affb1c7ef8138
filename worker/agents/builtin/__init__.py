"""The agents that Mamba ships: `chat`, `code_review` and `research`."""
