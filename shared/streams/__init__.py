"""The event stream of a run: its events, how to append, read and follow them, and its transcript."""
