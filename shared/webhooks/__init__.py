"""Webhooks: events that report the end of a run to the operator's destinations."""
