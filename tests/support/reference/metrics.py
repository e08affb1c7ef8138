"""The metrics that the code defines."""

from typing import cast

from prometheus_client import Counter
from prometheus_client.metrics import MetricWrapperBase

import api.monitoring.request_metrics
import shared.telemetry.metrics
import worker.telemetry.metrics
from api.monitoring.system_gauges import COUNTERS, GAUGES

MODULES = (shared.telemetry.metrics, api.monitoring.request_metrics, worker.telemetry.metrics)


def defined_metrics() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Return the type and labels of each metric by name."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {
        name: ("gauge", labels) for name, _, labels in GAUGES
    }
    found |= {f"{name}_total": ("counter", labels) for name, _, labels in COUNTERS}
    for module in MODULES:
        for value in vars(module).values():
            if isinstance(value, MetricWrapperBase):
                [family] = value.describe()
                name = f"{family.name}_total" if isinstance(value, Counter) else family.name
                found[name] = (family.type, labels_of(value))
    return found


def labels_of(metric: MetricWrapperBase) -> tuple[str, ...]:
    return cast("tuple[str, ...]", vars(metric)["_labelnames"])
