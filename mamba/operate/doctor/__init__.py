"""The `mamba doctor` command: one module of checks per subject, and the report."""
