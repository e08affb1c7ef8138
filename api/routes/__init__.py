"""The HTTP routes, one module per resource. They contain no logic beyond requests and responses."""
