"""Code that the API, workers and CLI share. It imports no HTTP framework and no model client."""
