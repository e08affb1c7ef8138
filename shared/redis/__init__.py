"""Redis: connections, pub/sub, Lua scripts and keys.

Nothing here depends on runs, jobs or other domain types.
"""
