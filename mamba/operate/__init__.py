"""Commands that inspect and control a running deployment. They start no processes."""
