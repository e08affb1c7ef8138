import ast
import json
import re
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest
from openai import AsyncOpenAI
from pydantic_ai import Agent
from pydantic_ai.exceptions import ModelAPIError
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from api.http.problems import status_of
from mamba.codegen import display_types, openapi
from mamba.codegen.configuration_page import page
from shared.errors import Refusal, TooManyRequests
from shared.monitoring.snapshot import LONG_WAIT_MS, NOTICEABLE_WAIT_MS
from shared.runs.finalize import LOST_TEXT
from tests.support.reference.errors_page import ERRORS, FAILED
from tests.support.reference.failures import ALL_FAILURES
from worker.models import run_failures

ROOT = Path(__file__).parents[2]


def test_configuration_page_is_up_to_date() -> None:
    assert (ROOT / "docs/reference/configuration.md").read_text() == page()


def test_errors_page_lists_every_refusal() -> None:
    refused = ERRORS.partition("## Failed runs")[0]
    rows = re.findall(r"^\| `(\w+)` \| `(\w+)` \| (\d+) \|", refused, re.MULTILINE)

    assert {(code, kind, int(status)) for code, kind, status in rows} == {
        (kind.code, kind.__name__, status_of(kind))
        for kind in _below(Refusal)
        # Subclasses in other modules only add details.
        if kind.__module__ == Refusal.__module__
        and kind is not TooManyRequests  # only a base class
    }


def test_errors_page_lists_every_failure_code() -> None:
    documented = {row.code: row[2:] for row in FAILED}
    known = {f.code: (f.text, f.worker_retries, f.retryable) for f in ALL_FAILURES}

    assert documented == {**known, "lost": (LOST_TEXT, False, True)}


def test_errors_page_lists_every_error_class() -> None:
    documented = {
        kind: row.code for row in FAILED for kind in re.findall(r"`([A-Z]\w+)`", row.origin)
    }

    assert documented == {
        kind.__name__: f.code for kind, f in run_failures.FAILURES_BY_ERROR.items()
    }


@pytest.mark.parametrize("status", range(400, 600))
async def test_errors_page_lists_every_model_status(status: int) -> None:
    documented = {
        int(status): row.code for row in reversed(FAILED) for status in _statuses(row.origin)
    }
    other = "model_rejected" if status < 500 else "model_error"

    assert await _code_of(status) == documented.get(status, other)


def test_every_linked_file_exists() -> None:
    for page_path in (
        ROOT / "README.md",
        *ROOT.glob("docs/**/*.md"),
        ROOT / "clients/js/README.md",
        ROOT / "examples/README.md",
        *ROOT.glob("examples/*/README.md"),
    ):
        links = re.findall(r"\]\(([^)#:]+)\)", page_path.read_text())
        missing = [link for link in links if not (page_path.parent / link).exists()]
        assert not missing, page_path


def test_every_linked_anchor_is_a_heading() -> None:
    for page_path in (ROOT / "README.md", *ROOT.glob("docs/**/*.md")):
        for path, anchor in re.findall(r"\]\(([^)#:]*\.md)?#([\w-]+)\)", page_path.read_text()):
            target = page_path.parent / path if path else page_path
            assert anchor in _anchors(target), (page_path, path, anchor)


def _anchors(page_path: Path) -> set[str]:
    text = re.sub(r"^```.*?^```", "", page_path.read_text(), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_every_path_in_the_architecture_page_exists() -> None:
    text = (ROOT / "docs/architecture.md").read_text()
    named = re.findall(r"`((?:api|worker|shared|mamba|helm)/[\w/.]*)`", text)

    assert len(named) > 50
    assert not [path for path in named if not (ROOT / path).exists()]


def test_openapi_document_is_up_to_date() -> None:
    assert (ROOT / "docs/reference/openapi.json").read_text() == openapi.page(), "run: make docs"


def test_logs_page_lists_every_event_with_level_and_fields() -> None:
    logged: dict[str, set[str]] = defaultdict(set)
    for event, level, fields in _log_calls():
        logged[event].add(level)
        row = re.search(
            rf"^\| `{re.escape(event)}` \| (.+?) \| (.*?) ?\| ", _logs_page(), re.MULTILINE
        )
        assert row, f"docs/reference/logs.md has no row for {event}"
        assert level in row[1] or level == "log", (event, level)
        assert fields <= set(re.findall(r"`(\w+)`", row[2])), (event, fields)

    documented = _documented_events(_logs_page())
    assert sorted(documented) == sorted(logged)


def test_logs_page_sorts_each_table_by_event() -> None:
    for section in _logs_page().split("\n## "):
        events = _documented_events(section)
        assert events == sorted(events)


def _below(kind: type[Refusal]) -> Iterator[type[Refusal]]:
    for subclass in kind.__subclasses__():
        yield subclass
        yield from _below(subclass)


def _statuses(origin: str) -> list[str]:
    """Return the statuses without a further condition, such as `429 with` a code."""
    return re.findall(r"\b(\d{3})\b(?! with)", origin)


async def _code_of(status: int) -> str:
    """Return the failure code of a model response, through the client and pydantic-ai."""
    transport = httpx2.MockTransport(lambda _: httpx2.Response(status, json={"error": {}}))
    async with httpx2.AsyncClient(transport=transport) as http:
        client = AsyncOpenAI(
            base_url="http://model.test", api_key="k", max_retries=0, http_client=http
        )
        model = OpenAIChatModel("m", provider=OpenAIProvider(openai_client=client))
        with pytest.raises(ModelAPIError) as caught:
            await Agent(model).run("Hi")
    return run_failures.failure_of(caught.value).code


def _logs_page() -> str:
    return (ROOT / "docs/reference/logs.md").read_text()


def _documented_events(text: str) -> list[str]:
    return re.findall(r"^\| `([a-z_]+\.[a-z_]+)` \|", text, re.MULTILINE)


_LEVELS = ("debug", "info", "warning", "error", "critical", "log")


def _log_calls() -> Iterator[tuple[str, str, set[str]]]:
    """Yield the event, method and field names of each `log` call."""
    for package in ("api", "worker", "shared", "mamba"):
        for path in (ROOT / package).rglob("*.py"):
            for node in ast.walk(ast.parse(path.read_text())):
                match node:
                    case ast.Call(func=ast.Attribute(value=ast.Name(id="log"), attr=level)) if (
                        level in _LEVELS
                    ):
                        names = [a.value for a in node.args if isinstance(a, ast.Constant)]
                        assert names, f"{path}:{node.lineno}: the event code must be a constant"
                        named = {k.arg: k.value for k in node.keywords if k.arg}
                        message = named.pop("message", None)
                        assert isinstance(message, ast.Constant), f"{path}:{node.lineno}"
                        fields = set(named)
                        yield str(names[0]), level, fields
                    case _:
                        pass


def test_console_and_pages_have_the_same_wait_thresholds() -> None:
    console = (ROOT / "web/ops/src/view/status_strip.tsx").read_text()
    noticeable, long = (f"{wait_ms // 1000} s" for wait_ms in (NOTICEABLE_WAIT_MS, LONG_WAIT_MS))

    assert f"const NOTICEABLE_WAIT_MS = {NOTICEABLE_WAIT_MS:_};" in console
    assert f"const LONG_WAIT_MS = {LONG_WAIT_MS:_};" in console
    page_rows = {"console.md": "oldest wait", "commands.md": "oldest wait of a queue"}
    for name, row in page_rows.items():
        text = (ROOT / "docs/operate" / name).read_text()
        assert f"| {row} | {noticeable} | {long} |" in text, name


def test_display_tool_types_are_up_to_date() -> None:
    types = (ROOT / "clients/js/src/display_tools.ts").read_text()

    assert types == display_types.page(), "run: make docs"
    names = re.findall(r"^export interface (\w+)", types, re.MULTILINE)
    assert len(names) == len(set(names))


def test_console_error_texts_match_the_errors_page() -> None:
    codes: dict[str, list[str]] = json.loads(
        (ROOT / "web/ops/src/api/error_codes.json").read_text()
    )

    assert {code: text for code, (text, _) in codes.items()} == {
        row.code: row.text for row in FAILED
    }
    assert all(remedy.endswith(".") for _, remedy in codes.values())


def test_console_remedies_name_existing_settings_or_events() -> None:
    remedies = (ROOT / "web/ops/src/api/error_codes.json").read_text()
    settings = (ROOT / "docs/reference/configuration.md").read_text()
    names = set(re.findall(r"\b[a-z]+\.[a-z_]+\b", remedies))
    variables = {name: f"MAMBA_{name.upper().replace('.', '__')}" for name in names}

    assert names
    assert not [
        name
        for name, variable in variables.items()
        if not re.search(rf"`{variable}(`|__)", settings) and f"`{name}`" not in _logs_page()
    ]
