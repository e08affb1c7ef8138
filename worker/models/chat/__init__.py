"""OpenAI's chat completions format, adapted to servers that deviate from it."""
