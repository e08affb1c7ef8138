"""Definitions of the Grafana dashboards. `make docs` writes them into the chart."""
