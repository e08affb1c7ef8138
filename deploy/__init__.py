"""Generated deployment files: alerts, dashboards, and parts of the Helm chart."""
