"""The `mamba` command and the public Python API for agents and backends.

Code that serves requests belongs in `api`, code that runs agents in `worker`.
"""
