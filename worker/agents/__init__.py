"""Agent definitions, their registry, and the engine that runs them.

Plugin authors import from `mamba.agents` instead. Tools belong in `worker/tools/`.
"""
