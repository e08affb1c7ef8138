"""Generators of alerts, dashboards, and chart files, with their output; and tests of the images."""
