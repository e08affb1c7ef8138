"""The metrics: their reference page, names, labels and exposition."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest
from prometheus_client import REGISTRY
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.parser import text_string_to_metric_families

from shared.telemetry.metrics import LabelValues, exposition
from tests.support.reference.metrics import defined_metrics

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/reference/metrics.md").read_text()


def test_metrics_page_lists_every_metric_with_type_and_labels() -> None:
    row = re.compile(r"^\| `(mamba_\w+)` \| (\w+) \| ([^|]*)\| [^|]+ \|[^|]*\|$", re.MULTILINE)
    rows = row.findall(PAGE)

    documented = {
        name: (kind, tuple(re.findall(r"`(\w+)`", labels))) for name, kind, labels in rows
    }
    assert documented == defined_metrics()
    assert len(rows) == len(documented)


@pytest.mark.parametrize("name", defined_metrics())
def test_metric_name_follows_naming_conventions(name: str) -> None:
    assert re.fullmatch(r"mamba(_[a-z]+)+", name)
    assert not re.search(r"_(ms|milliseconds|minutes|kb|mb|percent|count)$", name)


def test_labels_contain_no_ids_or_owners() -> None:
    labels = {label for _, names in defined_metrics().values() for label in names}

    allowed = {"agent", "model", "outcome", "code", "reason", "method", "route", "status"}
    allowed |= {"kind", "queue", "state", "provider", "version", "node", "task", "destination"}
    allowed |= {"what"}
    assert labels <= allowed


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
