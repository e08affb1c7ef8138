"""The output of an attempt: maps agent events to stream events and commits them to Redis."""
