"""Tests of the playground in a real browser, with `mamba dev`."""
