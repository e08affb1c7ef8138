"""Benchmarks of the fair order and the forecast, on real processes with few slots."""
