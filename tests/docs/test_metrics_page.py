"""The metrics: their reference page, names, labels and exposition."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import cast

import pytest
from prometheus_client import REGISTRY, Counter
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.metrics import MetricWrapperBase
from prometheus_client.parser import text_string_to_metric_families

import api.monitoring.request_metrics
import shared.telemetry.metrics
import worker.telemetry.metrics
from api.monitoring.system_gauges import COUNTERS, GAUGES
from shared.telemetry.metrics import LabelValues, exposition

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/metrics.md").read_text()
MODULES = (shared.telemetry.metrics, api.monitoring.request_metrics, worker.telemetry.metrics)


def defined() -> dict[str, tuple[str, tuple[str, ...]]]:
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


def test_metrics_page_lists_every_metric_with_type_and_labels() -> None:
    row = re.compile(r"^\| `(mamba_\w+)` \| (\w+) \| ([^|]*)\| [^|]+ \|[^|]*\|$", re.MULTILINE)
    rows = row.findall(PAGE)

    documented = {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows
    }
    assert documented == defined()
    assert len(rows) == len(documented)


@pytest.mark.parametrize("name", defined())
def test_metric_name_follows_naming_conventions(name: str) -> None:
    assert re.fullmatch(r"mamba(_[a-z]+)+", name)
    assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent|count)$", name)


def test_labels_contain_no_ids_or_owners() -> None:
    labels = {label for _, names in defined().values() for label in names}

    allowed = {"agent", "model", "outcome", "code", "reason", "method", "route", "status"}
    assert labels <= allowed | {"kind", "queue", "state", "provider", "version", "node", "task"}


def test_unknown_label_value_becomes_other() -> None:
    names = LabelValues()
    names.add("chat")

    assert names.label("chat") == "chat"
    assert names.label("<script>") == "other"


def test_number_of_label_values_is_bounded() -> None:
    names = LabelValues()
    for number in range(10_000):
        names.add(str(number))

    assert len({names.label(str(number)) for number in range(10_000)}) == 101


@pytest.mark.parametrize("accept", ["", "text/plain", "application/openmetrics-text;version=1.0.0"])
def test_exposition_is_parsable_in_every_format(accept: str) -> None:
    family = GaugeMetricFamily("mamba_extra", "Additional metric.", labels=("queue",))
    family.add_metric(("main",), 3)

    text, content_type = exposition(accept, [family])

    assert content_type.startswith(accept.partition(";")[0] or "text/plain")
    assert b'mamba_extra{queue="main"} 3.0' in text
    if "openmetrics" in accept:
        assert text.endswith(b"# EOF\n")
        return
    names = {family.name for family in text_string_to_metric_families(text.decode())}
    assert "mamba_extra" in names
    assert "mamba_stream_gaps" in names
    assert not [name for name in names if name.endswith("_created")]


def test_promtool_accepts_the_exposition() -> None:
    """Also without `promtool`, the client library parses the exposition."""
    families = [family for family in REGISTRY.collect() if family.name.startswith("mamba_")]
    text, _ = exposition("", [])
    lines = [line for line in text.decode().splitlines(keepends=True) if "mamba_" in line]
    assert len(families) == len(list(text_string_to_metric_families("".join(lines))))
    if promtool := shutil.which("promtool"):
        checked = subprocess.run(
            [promtool, "check", "metrics"],
            input="".join(lines).encode(),
            capture_output=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
