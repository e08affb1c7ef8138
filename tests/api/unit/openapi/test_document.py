"""The OpenAPI document is complete, and sufficient to generate a client."""

import importlib.util
import json
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from api.auth.public_routes import is_public_path
from api.http.problems import status_of
from api.streaming import basic_format
from api.streaming.cursor import parse_cursor
from mamba.codegen import openapi
from shared.agents.tools import DISPLAY_TOOL_NAMES
from shared.errors import (
    JobMissing,
    Refusal,
    RunDeferred,
    RunEnded,
    RunLeased,
    TooManyRequests,
    WorkerNotResponding,
)
from shared.streams import events
from shared.streams.events import Data, Error, Finish, SourceUrl, TextDelta, ToolInputAvailable

DOCUMENT: dict[str, Any] = json.loads(openapi.page())
SCHEMAS: dict[str, Any] = DOCUMENT["components"]["schemas"]
PROBLEM = "application/problem+json"
#: Errors of operator routes, which are not in the document.
OPERATOR_ERRORS = (RunEnded, RunLeased, RunDeferred, JobMissing, WorkerNotResponding)


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in DOCUMENT["paths"].items():
        for method, operation in methods.items():
            yield f"{method} {path}", operation


def values_of(value: Any, key: str) -> Iterator[Any]:
    """Yield every value of a key at any depth."""
    if isinstance(value, dict):
        if key in value:
            yield value[key]
        for inner in value.values():  # pyright: ignore[reportUnknownVariableType]
            yield from values_of(inner, key)
    elif isinstance(value, list):
        for inner in value:  # pyright: ignore[reportUnknownVariableType]
            yield from values_of(inner, key)


def test_every_reference_resolves() -> None:
    found = set(values_of(DOCUMENT, "$ref"))
    assert "#/components/schemas/Problem" in found
    for reference in found:
        value: Any = DOCUMENT
        for key in reference.removeprefix("#/").split("/"):
            assert key in value, reference
            value = value[key]


def test_every_operation_has_an_id_and_a_description() -> None:
    names = [operation["operationId"] for _, operation in operations()]

    assert len(set(names)) == len(names)
    for name, operation in operations():
        assert re.fullmatch(r"[a-z]+(_[a-z]+)+", operation["operationId"]), name
        assert operation["description"], name
        assert operation["tags"], name
        assert set(operation["tags"]) <= {tag["name"] for tag in DOCUMENT["tags"]}, name


def test_every_refusal_is_a_problem_with_an_example() -> None:
    for name, operation in operations():
        assert "500" in operation["responses"], name
        for status, response in operation["responses"].items():
            assert "x-request-id" in response["headers"], (name, status)
            if status.startswith("2") or PROBLEM not in response.get("content", {}):
                continue
            content = response["content"][PROBLEM]
            assert content["schema"] == {"$ref": "#/components/schemas/Problem"}, (name, status)
            assert content["examples"], (name, status)
            for code, example in content["examples"].items():
                assert example["value"]["code"] == code
                assert str(example["value"]["status"]) == status


def refusals() -> Iterator[type[Refusal]]:
    """Yield the errors of documented routes. `TooManyRequests` is only a base class."""
    excluded = (TooManyRequests, *OPERATOR_ERRORS)
    pending = [Refusal]
    while pending:
        for error in pending.pop().__subclasses__():
            pending.append(error)
            if error.__module__ == Refusal.__module__ and error not in excluded:
                yield error


def test_every_refusal_class_has_an_example() -> None:
    documented = {
        (code, int(status))
        for _, operation in operations()
        for status, response in operation["responses"].items()
        for code in response.get("content", {}).get(PROBLEM, {}).get("examples", {})
    }

    expected = {(error.code, status_of(error)) for error in refusals()}
    assert documented == expected | {("internal_error", 500)}


def test_every_protected_route_documents_authentication() -> None:
    for path, methods in DOCUMENT["paths"].items():
        for operation in methods.values():
            assert ("security" in operation) == (not is_public_path(path)), path
            if not is_public_path(path):
                assert {"401", "403", "503"} <= operation["responses"].keys(), path


def test_generated_requests_reach_the_documented_handler() -> None:
    properties = SCHEMAS["ChatRequest"]["properties"]
    names, client_tools = properties["tools"]["anyOf"][0]["anyOf"]
    assert names["items"]["enum"] == list(DISPLAY_TOOL_NAMES)
    assert client_tools["type"] == "object"
    headers = {
        parameter["name"]: parameter["schema"]
        for _, operation in operations()
        for parameter in operation.get("parameters", ())
        if parameter["in"] == "header"
    }
    assert re.fullmatch(headers["idempotency-key"]["pattern"], "8e03978e-40d5")
    assert all(schema["type"] == "string" for schema in headers.values())  # none can be null


@pytest.mark.parametrize(
    "text", ["1-57", "1-57@9f3kq0Zr7", "1-5@a_b-c", "1-", "1-5@", "1234567890-1", "1-5@é", "1-٣"]
)
def test_cursor_matches_its_documented_pattern(text: str) -> None:
    follow = DOCUMENT["paths"]["/chat/{chat_id}/stream"]["get"]
    [schema] = [p["schema"] for p in follow["parameters"] if p["name"] == "last-event-id"]

    assert bool(re.search(schema["pattern"], text)) == (parse_cursor(text) is not None)


@pytest.mark.parametrize("path", ["/chat", "/chat/{chat_id}/stream", "/chat/{chat_id}/stop"])
def test_alias_route_is_the_same_operation(path: str) -> None:
    aliases = DOCUMENT["paths"][path.replace("/chat", "/chat/completions", 1)]
    for method, operation in DOCUMENT["paths"][path].items():
        other = aliases[method]
        assert f"Alias of `{method.upper()} {path}`" in other["summary"]
        assert "deprecated" not in other
        differing = {key for key in operation if operation[key] != other[key]}
        assert differing == {"summary", "operationId"}


def test_document_contains_no_private_names() -> None:
    assert not [name for name in SCHEMAS if name.startswith("_")]
    assert "$defs" not in json.dumps(DOCUMENT)


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> ModuleType:
    """Pydantic models generated from the document."""
    folder = tmp_path_factory.mktemp("client")
    source, output = folder / "openapi.json", folder / "mamba_models.py"
    source.write_text(openapi.page())
    command = [
        *(sys.executable, "-m", "datamodel_code_generator", "--input", str(source)),
        *("--input-file-type", "openapi", "--output", str(output)),
        *("--output-model-type", "pydantic_v2.BaseModel", "--disable-timestamp"),
        *("--target-python-version", "3.11", "--snake-case-field"),
    ]
    subprocess.run(command, check=True, capture_output=True, timeout=60)
    return load(output)


def load(path: Path) -> ModuleType:
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "event",
    [
        TextDelta(id="t1", delta="Hi"),
        ToolInputAvailable(tool_call_id="c", tool_name="f", input=None),
        SourceUrl(source_id="s", url="https://a.example"),
        Data(type="data-error", data={"code": "lost"}, transient=True),
        Error(error_text="Oh"),
        Finish(finish_reason="stop"),
    ],
    ids=lambda event: event.type,
)
def test_generated_client_reads_the_events(models: ModuleType, event: events.StreamEvent) -> None:
    assert_round_trip(models.StreamEvent, event, f"{type(event).__name__}Event")


def assert_round_trip(union: Any, event: events.Event, class_name: str) -> None:
    parsed = union.model_validate_json(event.encode())

    dumped = parsed.model_dump_json(by_alias=True, exclude_unset=True)
    assert json.loads(dumped) == json.loads(event.encode())
    assert type(parsed.root).__name__ == class_name


@pytest.mark.parametrize(
    "event",
    [
        basic_format.BasicTextDelta(text_delta="Hi"),
        basic_format.BasicToolCall(tool_call_id="c", tool_name="f", args=None),
        basic_format.BasicToolResult(
            tool_call_id="c", tool_name="f", args={}, result="Oh", is_error=True
        ),
        basic_format.BasicError(error="Oh", code="lost"),
        basic_format.BasicFinish(finish_reason="cancelled"),
    ],
    ids=lambda event: event.type,
)
def test_generated_client_reads_the_basic_events(
    models: ModuleType, event: basic_format.BasicEvent
) -> None:
    assert_round_trip(models.BasicEvent, event, f"{type(event).__name__}Event")


def test_generated_client_sends_valid_requests(models: ModuleType) -> None:
    for example in DOCUMENT["paths"]["/chat"]["post"]["requestBody"]["content"]["application/json"][
        "examples"
    ].values():
        request = models.ChatRequest.model_validate(example["value"])
        assert request.messages[0].role.value == "user"


def test_generated_client_reads_a_problem(models: ModuleType) -> None:
    refusals = DOCUMENT["paths"]["/chat"]["post"]["responses"]["409"]["content"][PROBLEM]
    codes = [models.Problem.model_validate(e["value"]).code for e in refusals["examples"].values()]
    assert codes == ["run_in_progress", "not_pending"]
