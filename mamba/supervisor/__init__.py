"""Supervision of child processes, for `mamba dev` and for several API or worker processes."""
