"""The contents of reference pages, and what the code defines."""
