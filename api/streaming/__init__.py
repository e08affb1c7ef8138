"""Sending a run's stream to a client: cursors, server-sent events, stream formats and replay."""
