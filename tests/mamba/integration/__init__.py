"""The operator's commands on a real Redis, within this process."""
