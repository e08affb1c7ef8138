"""Runs: their records, admission, control and end. Their output is in `shared.streams`."""
