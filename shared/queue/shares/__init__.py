"""The owners' shares of the workers' time: what their jobs use, and their weights."""
