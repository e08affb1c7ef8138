"""`mamba queue` and its subcommands."""
