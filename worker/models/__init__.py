"""Access to models: the registry, endpoints, stream handling, health checks, the demo model."""
