"""A scripted OpenAI-compatible server: `python -m tests.upstream --port 0`."""
