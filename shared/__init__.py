"""Code that the API, the workers and the CLI share. It imports no HTTP framework and no models."""
