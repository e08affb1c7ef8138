"""The rate limits of an owner, counted in Redis.

The limits of live runs and of queue depth are in `shared/runs/admission.py`.
"""
