"""The job queue: jobs and their encoding, queue depth and queue positions.

Claiming and running jobs is in `worker/queue`.
"""
