"""The metrics: their page, their names, their labels, and what Prometheus makes of them."""

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
from api.monitoring.system_gauges import GAUGES
from shared.telemetry.metrics import LabelValues, exposition

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/metrics.md").read_text()
MODULES = (shared.telemetry.metrics, api.monitoring.request_metrics, worker.telemetry.metrics)


def defined() -> dict[str, tuple[str, tuple[str, ...]]]:
    """Each metric of the code, by its name: its type and its labels."""
    found: dict[str, tuple[str, tuple[str, ...]]] = {
        name: ("gauge", labels) for name, _, labels in GAUGES
    }
    for module in MODULES:
        for value in vars(module).values():
            if isinstance(value, MetricWrapperBase):
                [family] = value.describe()
                name = f"{family.name}_total" if isinstance(value, Counter) else family.name
                found[name] = (family.type, labels_of(value))
    return found


def labels_of(metric: MetricWrapperBase) -> tuple[str, ...]:
    return cast("tuple[str, ...]", vars(metric)["_labelnames"])


def test_the_page_has_each_metric_with_its_type_and_its_labels() -> None:
    row = re.compile(r"^\| `(mamba_\w+)` \| (\w+) \| ([^|]*)\| [^|]+ \|[^|]*\|$", re.MULTILINE)
    rows = row.findall(PAGE)

    documented = {name: (kind, tuple(re.findall(r"`(\w+)`", said))) for name, kind, said in rows}
    assert documented == defined()
    assert len(rows) == len(documented)


@pytest.mark.parametrize("name", defined())
def test_each_name_ends_in_its_unit_or_says_what_it_counts(name: str) -> None:
    assert re.fullmatch(r"mamba(_[a-z]+)+", name)
    assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent|count)$", name)


def test_no_label_is_an_id_or_somebodys() -> None:
    labels = {label for _, names in defined().values() for label in names}

    allowed = {"agent", "model", "outcome", "code", "reason", "method", "route", "status"}
    assert labels <= allowed | {"kind", "queue", "state", "provider", "version", "node"}


def test_a_name_that_nobody_knows_is_other() -> None:
    names = LabelValues()
    names.add("chat")

    assert names.label("chat") == "chat"
    assert names.label("<script>") == "other"


def test_names_do_not_grow_without_end() -> None:
    names = LabelValues()
    for number in range(10_000):
        names.add(str(number))

    assert len({names.label(str(number)) for number in range(10_000)}) == 101


@pytest.mark.parametrize("accept", ["", "text/plain", "application/openmetrics-text;version=1.0.0"])
def test_what_is_told_can_be_read(accept: str) -> None:
    family = GaugeMetricFamily("mamba_told", "Told beside.", labels=("queue",))
    family.add_metric(("main",), 3)

    text, content_type = exposition(accept, [family])

    assert content_type.startswith(accept.partition(";")[0] or "text/plain")
    assert b'mamba_told{queue="main"} 3.0' in text
    if "openmetrics" in accept:
        assert text.endswith(b"# EOF\n")
        return
    told = {family.name for family in text_string_to_metric_families(text.decode())}
    assert "mamba_told" in told
    assert "mamba_stream_gaps" in told
    assert not [name for name in told if name.endswith("_created")]


def test_prometheus_own_linter_finds_nothing() -> None:
    """Its rules where it is installed (`promtool`), and its format by the library's parser."""
    ours = [family for family in REGISTRY.collect() if family.name.startswith("mamba_")]
    text, _ = exposition("", [])
    lines = [line for line in text.decode().splitlines(keepends=True) if "mamba_" in line]
    assert len(ours) == len(list(text_string_to_metric_families("".join(lines))))
    if promtool := shutil.which("promtool"):
        checked = subprocess.run(
            [promtool, "check", "metrics"],
            input="".join(lines).encode(),
            capture_output=True,
            check=False,
        )
        assert checked.returncode == 0, checked.stdout + checked.stderr
