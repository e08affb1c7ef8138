"""The contents of a chat: messages, files and titles. Stream events belong in `shared/streams/`."""
