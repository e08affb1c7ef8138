"""The `mamba init` and `mamba agent new` commands, which write files for the user to edit."""
