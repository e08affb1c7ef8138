"""The agents a request may name: what the API checks against, and each worker has."""

CHAT_AGENT = "chat"
AGENT_NAMES = (CHAT_AGENT,)
