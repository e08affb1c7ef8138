"""The `mamba top` command: a live view of the deployment in the terminal."""
