"""HTTP concerns shared by all routes: middleware, problems, request bodies, connections, draining.

Nothing here depends on chats or runs.
"""
