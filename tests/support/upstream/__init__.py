"""A scripted OpenAI-compatible server: `python -m tests.support.upstream --port 0`."""
