"""Grafana's dashboards. `make docs` writes them into the chart, and Compose reads the same."""
