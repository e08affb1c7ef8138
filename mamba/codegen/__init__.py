"""Generators of the reference files in this repository. `make docs` runs them."""
