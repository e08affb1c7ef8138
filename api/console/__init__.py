"""The operator console: its page and the routes under `/ops` that it uses."""
