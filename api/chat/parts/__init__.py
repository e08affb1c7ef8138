"""The parts of messages: those of the AI SDK 4 to 7, and of the APIs that clients copy."""
