"""A folder for PYTHONPATH, with a module that Python imports at its start."""
