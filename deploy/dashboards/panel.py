"""Grafana dashboards as rows of panels with automatic layout."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

#: Grafana's grid has this many columns.
_WIDTH = 24
_SOURCE = {"type": "prometheus", "uid": "${datasource}"}
_SCHEMA = 39
_COLORS = ("green", "orange", "red")

#: Selects the installation and its processes. Metrics without a namespace (Compose) match too.
SCOPE = 'namespace=~"$namespace",job=~"$job"'


@dataclass(frozen=True)
class Panel:
    """A panel with its queries by legend.

    `unit` is a Grafana unit. Values above the last of `limits` are red, above the one before it
    orange.
    """

    title: str
    description: str
    queries: Mapping[str, str]
    unit: str = "short"
    kind: Literal["timeseries", "stat", "table"] = "timeseries"
    width: int = 8
    height: int = 8
    limits: Sequence[float] = ()
    stacked: bool = False
    decimals: int | None = None

    def json(self, number: int, x: int, y: int) -> dict[str, Any]:
        return {
            "id": number,
            "type": self.kind,
            "title": self.title,
            "description": self.description,
            "datasource": _SOURCE,
            "gridPos": {"x": x, "y": y, "w": self.width, "h": self.height},
            "fieldConfig": {"defaults": self._defaults, "overrides": []},
            "options": self._options,
            "targets": [*self._targets()],
        }

    @property
    def _defaults(self) -> dict[str, Any]:
        steps: list[dict[str, Any]] = [{"color": _COLORS[0], "value": None}]
        for color, value in zip(_COLORS[1:][-len(self.limits) :], self.limits, strict=False):
            steps.append({"color": color, "value": value})
        defaults: dict[str, Any] = {
            "unit": self.unit,
            "min": 0,
            "thresholds": {"mode": "absolute", "steps": steps},
            "color": {"mode": "thresholds" if self.kind == "stat" else "palette-classic"},
        }
        if self.decimals is not None:
            defaults["decimals"] = self.decimals
        if self.kind == "timeseries":
            defaults["custom"] = {
                "drawStyle": "line",
                "fillOpacity": 25 if self.stacked else 8,
                "showPoints": "never",
                "spanNulls": False,
                "stacking": {"mode": "normal" if self.stacked else "none", "group": "A"},
                "thresholdsStyle": {"mode": "dashed" if self.limits else "off"},
            }
        return defaults

    @property
    def _options(self) -> dict[str, Any]:
        match self.kind:
            case "timeseries":
                return {
                    "legend": {
                        "displayMode": "table",
                        "placement": "bottom",
                        "calcs": ["lastNotNull", "max"],
                    },
                    "tooltip": {"mode": "multi", "sort": "desc"},
                }
            case "stat":
                return {
                    "reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                    "colorMode": "background",
                    "graphMode": "area",
                }
            case "table":
                return {"showHeader": True}

    def _targets(self) -> Iterator[dict[str, Any]]:
        for n, (legend, expression) in enumerate(self.queries.items()):
            target: dict[str, Any] = {
                "refId": chr(ord("A") + n),
                "datasource": _SOURCE,
                "expr": expression,
                "legendFormat": legend,
            }
            if self.kind == "table":
                target |= {"instant": True, "range": False, "format": "table"}
            yield target


@dataclass(frozen=True)
class PanelRow:
    title: str
    panels: Sequence[Panel]


@dataclass(frozen=True)
class Dashboard:
    """`variables` maps additional template variables to the queries of their values."""

    uid: str
    title: str
    description: str
    rows: Sequence[PanelRow]
    variables: Mapping[str, str] = field(default_factory=dict[str, str])

    def json(self) -> dict[str, Any]:
        return {
            "uid": self.uid,
            "title": self.title,
            "description": self.description,
            "tags": ["mamba-server"],
            "schemaVersion": _SCHEMA,
            "editable": True,
            "graphTooltip": 1,
            "refresh": "30s",
            "timezone": "browser",
            "time": {"from": "now-3h", "to": "now"},
            "links": [*_links()],
            "annotations": {"list": [_alert_annotations()]},
            "templating": {"list": [*self._variables()]},
            "panels": [*self._panels()],
        }

    def _variables(self) -> Iterator[dict[str, Any]]:
        yield {
            "name": "datasource",
            "label": "Data source",
            "type": "datasource",
            "query": "prometheus",
        }
        yield {"name": "runbook", "type": "constant", "hide": 2, "query": "docs/operate/runbook.md"}
        yield _query_variable("namespace", "label_values(mamba_build_info, namespace)")
        yield _query_variable("job", 'label_values(mamba_build_info{namespace=~"$namespace"}, job)')
        for name, query in self.variables.items():
            yield _query_variable(name, query)

    def _panels(self) -> Iterator[dict[str, Any]]:
        number = y = 0
        for row in self.rows:
            number += 1
            grid = {"x": 0, "y": y, "w": _WIDTH, "h": 1}
            yield {
                "id": number,
                "type": "row",
                "title": row.title,
                "collapsed": False,
                "gridPos": grid,
                "panels": [],
            }
            x, y, tallest = 0, y + 1, 0
            for panel in row.panels:
                if x + panel.width > _WIDTH:
                    x, y, tallest = 0, y + tallest, 0
                number += 1
                yield panel.json(number, x, y)
                x, tallest = x + panel.width, max(tallest, panel.height)
            y += tallest


def quantiles(
    metric: str, labels: str = "", by: str = "", names: str = "p50 p95 p99"
) -> dict[str, str]:
    """Return queries of a histogram's quantiles. The legend shows the labels in `by`."""
    legend = " ".join(f"{{{{{label}}}}}" for label in by.split())
    groups = ", ".join([*by.split(), "le"])
    selector = ",".join(part for part in (SCOPE, labels) if part)
    rate = f"sum by ({groups}) (rate({metric}_bucket{{{selector}}}[$__rate_interval]))"
    return {
        f"{legend} {name}".strip(): f"histogram_quantile({int(name[1:]) / 100:g}, {rate})"
        for name in names.split()
    }


def per_second(metric: str, by: str, labels: str = "") -> str:
    selector = ",".join(part for part in (SCOPE, labels) if part)
    return f"sum by ({by}) (rate({metric}{{{selector}}}[$__rate_interval]))"


def _query_variable(name: str, query: str) -> dict[str, Any]:
    """A variable with multiple selection. All values are selected by default."""
    return {
        "name": name,
        "label": name.capitalize(),
        "type": "query",
        "datasource": _SOURCE,
        "query": {"query": query, "refId": name},
        "refresh": 2,
        "sort": 1,
        "multi": True,
        "includeAll": True,
        "allValue": ".*",
        "current": {"text": "All", "value": "$__all"},
    }


def _links() -> Iterator[dict[str, Any]]:
    yield {
        "type": "dashboards",
        "title": "Mamba",
        "tags": ["mamba-server"],
        "asDropdown": False,
        "includeVars": True,
        "keepTime": True,
    }
    yield {
        "type": "link",
        "title": "Runbook",
        "icon": "doc",
        "url": "${runbook}",
        "targetBlank": True,
    }


def _alert_annotations() -> dict[str, Any]:
    """Mark firing alerts in every panel."""
    return {
        "name": "Alerts",
        "enable": True,
        "iconColor": "red",
        "datasource": _SOURCE,
        "expr": 'ALERTS{alertname=~"Mamba.*",alertstate="firing",namespace=~"$namespace"}',
        "titleFormat": "{{alertname}}",
        "textFormat": "{{severity}} {{queue}}{{provider}}{{code}}{{model}}",
        "step": "60s",
    }
