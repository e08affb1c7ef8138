"""Metrics and traces of a worker. Log events belong to the modules that emit them."""
