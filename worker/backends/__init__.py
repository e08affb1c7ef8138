"""Model backends for Python code. User code imports them from `mamba.backends`."""
