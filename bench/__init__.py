"""The benchmark. `make bench` runs it; nothing imports it."""
