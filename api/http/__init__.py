"""HTTP concerns shared by all routes: middleware, problems, request bodies, connections, draining.

Only `problems.py` (the status of each error), `paths.py` (chat ids with slashes) and
`request_id.py` (ids in the log) depend on chats and runs.
"""
