"""The jobs that a worker runs: `run_chat` and `generate_title`."""
