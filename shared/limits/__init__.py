"""The limits of an owner that are counted in Redis."""
