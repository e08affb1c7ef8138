"""The registry of live API and worker processes, and their counters."""
