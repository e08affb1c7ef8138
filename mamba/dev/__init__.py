"""The `mamba dev` command: Valkey, the API and a worker on one machine."""
