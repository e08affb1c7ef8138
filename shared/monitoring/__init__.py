"""System snapshots and the metrics history, which the API and the CLI read from Redis.

Prometheus metrics belong in `shared/telemetry/`.
"""
