"""The chaos suite: clients use a real deployment while a seeded schedule of faults breaks it.

`python -m tests.chaos` runs it at length and writes `docs/chaos.md`.
"""
