"""The operator console: its page and the endpoints under `/ops` that it uses."""
