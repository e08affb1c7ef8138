"""The parts of messages, in the formats of the AI SDK 4 to 7, OpenAI, Anthropic and LangChain."""
