"""Supervision of child processes, for `mamba dev` and for `mamba api` with several processes."""
