"""The cost of `redis.confirm_replicas`."""
