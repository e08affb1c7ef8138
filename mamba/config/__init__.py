"""The `mamba config` and `mamba key` commands."""
