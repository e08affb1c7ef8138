"""The worker process: takes jobs from the queue and runs agents.

It serves no HTTP except its metrics port.
"""
