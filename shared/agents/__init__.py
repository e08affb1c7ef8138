"""Descriptions of agents: cards, the catalog, the agent file and display tools.

The worker executes agents (`worker/agents/`).
"""
