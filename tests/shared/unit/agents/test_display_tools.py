import json
from typing import Any

import pytest
from pydantic import ValidationError
from pydantic_ai import Agent
from pydantic_ai.messages import (
    ModelMessage,
    ModelRequest,
    ModelResponse,
    TextPart,
    ToolCallPart,
    ToolReturnPart,
)
from pydantic_ai.models.function import AgentInfo, FunctionModel
from pydantic_ai.models.test import TestModel
from pydantic_ai.profiles.openai import OpenAIJsonSchemaTransformer

from shared.agents.display.card import Card
from shared.agents.display.chart import Chart
from shared.agents.display.code import Code
from shared.agents.display.examples import EXAMPLES
from shared.agents.display.form import Form
from shared.agents.tools import DISPLAY_TOOL_NAMES
from worker.tools.display import DISPLAY_TOOLS, display_tools

Json = dict[str, Any]


async def call(tool: str, *attempts: Json) -> list[ToolReturnPart]:
    """Return the tool results of a model that calls `tool` with each set of arguments in turn."""
    calls = iter(attempts)

    def respond(_: list[ModelMessage], __: AgentInfo) -> ModelResponse:
        arguments = next(calls, None)
        if arguments is None:
            return ModelResponse([TextPart("done")])
        return ModelResponse([ToolCallPart(tool, json.dumps(arguments))])

    run = await Agent(FunctionModel(respond), tools=display_tools([tool])).run("show it")
    requests = [message for message in run.all_messages() if isinstance(message, ModelRequest)]
    return [
        part for message in requests for part in message.parts if isinstance(part, ToolReturnPart)
    ]


async def output_of(tool: str, arguments: Json) -> Any:
    (result,) = await call(tool, arguments)
    assert result.outcome == "success"
    return result.content


async def rejection(tool: str, arguments: Json) -> str:
    """Return the error that the model receives for invalid arguments."""
    (result,) = await call(tool, arguments)
    assert result.outcome == "retried"
    return result.model_response_str()


def form(**field: Any) -> Json:
    return {"title": "Form", "fields": [{"name": "field", "label": "Field", **field}]}


def chart(kind: str, **arguments: Any) -> Json:
    return {"type": kind, "title": "Chart", **arguments}


def date_field() -> Json:
    return {"name": "when", "label": "When", "type": "date", "min": "2026-01-31"}


def test_tools_match_the_names_that_requests_may_use() -> None:
    assert tuple(DISPLAY_TOOLS) == DISPLAY_TOOL_NAMES
    assert [tool.name for tool in DISPLAY_TOOLS.values()] == list(DISPLAY_TOOL_NAMES)
    assert set(EXAMPLES) == set(DISPLAY_TOOL_NAMES)


def test_display_tools_returns_each_named_tool_once() -> None:
    tools = display_tools(["generateCard", "generateForm", "generateCard"])

    assert [tool.name for tool in tools] == ["generateCard", "generateForm"]


@pytest.mark.parametrize("name", DISPLAY_TOOL_NAMES)
async def test_tool_returns_its_arguments(name: str) -> None:
    arguments = EXAMPLES[name].output()

    assert await output_of(name, arguments) == arguments


# Without charts: a schema cannot require one value per category.
@pytest.mark.parametrize("name", ["generateForm", "generateCode", "generateCard"])
async def test_arguments_generated_from_the_schema_are_accepted(name: str) -> None:
    model = TestModel(call_tools=[name])

    run = await Agent(model, tools=display_tools([name])).run("show it")

    assert "retried" not in {
        part.outcome
        for message in run.all_messages()
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    }


async def test_output_contains_defaults_and_no_nulls() -> None:
    content = await output_of("generateForm", form(type="text", placeholder=None))

    assert content == {
        "title": "Form",
        "fields": [{"name": "field", "label": "Field", "required": False, "type": "text"}],
        "submitLabel": "Submit",
    }


async def test_lenient_parsing_of_keys_and_numbers() -> None:
    arguments = {"title": 7, "submit_label": "Go", "theme": "dark", "fields": [date_field()]}

    content = await output_of("generateForm", arguments)

    assert content["title"] == "7"
    assert content["submitLabel"] == "Go"
    assert "theme" not in content


async def test_date_is_returned_as_iso_string() -> None:
    content = await output_of("generateForm", {"title": "Form", "fields": [date_field()]})

    assert content["fields"][0]["min"] == "2026-01-31"


async def test_integers_are_not_converted_to_floats() -> None:
    content = await output_of("generateForm", form(type="number", min=1, max=2.5, step=1))

    assert json.dumps(content["fields"][0]["min"]) == "1"
    assert content["fields"][0]["max"] == 2.5


async def test_model_can_correct_invalid_arguments() -> None:
    wrong, right = form(type="slider"), form(type="number")

    first, second = await call("generateForm", wrong, right)

    assert first.outcome == "retried"
    assert "multi-select" in first.model_response_str()
    assert second.outcome == "success"


async def test_model_may_correct_arguments_three_times() -> None:
    wrong, right = form(type="slider"), form(type="number")

    results = await call("generateForm", wrong, wrong, wrong, right)

    assert [result.outcome for result in results] == ["retried"] * 3 + ["success"]


OPTIONS = [{"value": "a", "label": "A"}, {"value": "b", "label": "B"}]


@pytest.mark.parametrize(
    ("field", "expected"),
    [
        ({"type": "text", "name": "two words"}, "name"),
        ({"type": "text", "label": None}, "label"),
        ({"type": "text", "minLength": 5, "maxLength": 2}, "minLength and maxLength: 5 is greater"),
        ({"type": "number", "min": 3, "max": 1}, "min and max: 3 is greater than 1"),
        ({"type": "number", "max": 3, "default": 4}, "default and max: 4 is greater than 3"),
        ({"type": "number", "step": 0}, "step"),
        ({"type": "date", "min": "2026-02-01", "max": "2026-01-01"}, "min and max: 2026-02-01"),
        ({"type": "date", "default": "tomorrow"}, "default"),
        ({"type": "select", "options": []}, "options"),
        ({"type": "radio", "options": OPTIONS * 2}, "every option value must be unique"),
        ({"type": "select", "options": OPTIONS, "default": "c"}, "a, b (got c)"),
        ({"type": "multi-select", "options": OPTIONS, "default": ["a", "c"]}, "a, b (got c)"),
        ({"type": "multi-select", "options": OPTIONS, "minItems": 2, "maxItems": 1}, "maxItems"),
        ({"type": "file", "maxBytes": 0}, "maxBytes"),
        ({"type": "text", "pattern": "[a-z"}, "invalid regular expression: unterminated"),
        ({"type": "text", "pattern": "(a"}, "invalid regular expression: missing )"),
        ({"type": "text", "minLength": 3, "default": "ab"}, "the default's length: 3 is greater"),
        ({"type": "text", "maxLength": 1, "default": "ab"}, "maxLength: 2 is greater than 1"),
        ({"type": "multi-select", "options": OPTIONS, "minItems": 3}, "number of options: 3"),
        (
            {"type": "multi-select", "options": OPTIONS, "maxItems": 1, "default": ["a", "b"]},
            "number of defaults and maxItems: 2",
        ),
        ({"type": "multi-select", "options": OPTIONS, "default": ["a", "a"]}, "duplicates: a"),
        ({"type": "time", "min": "18:00", "max": "9:00"}, "max"),
        ({"type": "time", "min": "18:00", "max": "09:00"}, "min and max: 18:00:00 is greater"),
        ({"type": "time", "min": "18:00", "default": "17:00"}, "min and default"),
    ],
)
async def test_invalid_form_field_is_rejected(field: Json, expected: str) -> None:
    assert expected in await rejection("generateForm", form(**field))


async def test_duplicate_field_names_are_rejected() -> None:
    arguments = {"title": "Form", "fields": [date_field(), date_field()]}

    assert "duplicates: when" in await rejection("generateForm", arguments)


@pytest.mark.parametrize(
    "pattern", [r"(?<year>\d{4})-\k<year>", r"\p{L}+", "[a-z]+", r"^\+?\d+$", "[^]*"]
)
async def test_javascript_pattern_is_accepted(pattern: str) -> None:
    content = await output_of("generateForm", form(type="text", pattern=pattern))

    assert content["fields"][0]["pattern"] == pattern


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("(" * 499 + ")" * 499, "too complex"),
        ("a{99999999999}", "too complex"),
        ("a" * 1_001, "more than 1,000 characters"),
    ],
    ids=["nested", "repeated", "long"],
)
async def test_excessive_pattern_is_rejected(pattern: str, expected: str) -> None:
    assert expected in await rejection("generateForm", form(type="text", pattern=pattern))


async def test_time_drops_fraction_and_offset() -> None:
    field = form(type="time", min="09:00:00.5Z", default="10:00+02:00", max="18:00")

    [time] = (await output_of("generateForm", field))["fields"]

    assert (time["min"], time["default"], time["max"]) == ("09:00:00", "10:00:00", "18:00:00")


EARLIER: list[Json] = [
    {"type": "select", "name": "diet", "label": "Diet", "options": OPTIONS},
    {"type": "multi-select", "name": "extras", "label": "Extras", "options": OPTIONS},
    {"type": "checkbox", "name": "guest", "label": "Guest"},
    {"type": "number", "name": "count", "label": "Count"},
    {"type": "text", "name": "city", "label": "City"},
    {"type": "file", "name": "photo", "label": "Photo"},
]


def conditional(field: str, equals: Any) -> Json:
    condition = {"field": field, "equals": equals}
    shown = {"type": "text", "name": "more", "label": "More", "visibleWhen": condition}
    return {"title": "Form", "fields": [*EARLIER, shown, {**shown, "name": "last"}]}


@pytest.mark.parametrize(
    ("field", "equals"),
    [("diet", "a"), ("extras", "b"), ("guest", True), ("count", 3), ("city", "Rome")],
)
async def test_visible_when_accepts_an_earlier_field(field: str, equals: Any) -> None:
    content = await output_of("generateForm", conditional(field, equals))

    condition = content["fields"][-1]["visibleWhen"]
    assert condition == {"field": field, "equals": equals}
    assert type(condition["equals"]) is type(equals)


@pytest.mark.parametrize(
    ("field", "equals", "expected"),
    [
        ("diet", "c", "diet can never be 'c'"),
        ("extras", "c", "extras can never be 'c'"),
        ("guest", "yes", "guest can never be 'yes'"),
        ("count", "3", "count can never be '3'"),
        ("city", 3, "city can never be 3"),
        ("photo", "a.png", "photo can never be"),
        ("last", "a", "must name an earlier field (got 'last')"),
        ("more", "a", "must name an earlier field (got 'more')"),
    ],
)
async def test_impossible_visible_when_is_rejected(field: str, equals: Any, expected: str) -> None:
    assert expected in await rejection("generateForm", conditional(field, equals))


SHORT = {"name": "Sales", "values": [1, 2]}
POINTS = {"name": "Cars", "points": [{"x": 1, "y": 2}]}
GAPS = {"name": "Sales", "values": [1, None]}
ABC = ["a", "b", "c"]


def timed(kind: str, *categories: str) -> Json:
    return chart(kind, categories=list(categories), categoryType="time", series=[SHORT])


def axis(**axis: Any) -> Json:
    return chart("bar", categories=["a", "b"], series=[SHORT], yAxis=axis)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (chart("bar", categories=ABC, series=[SHORT]), "has 2 values for 3 categories"),
        (chart("line", series=[SHORT]), "type line needs categories"),
        (chart("area", categories=ABC, series=[POINTS]), "needs values instead of points"),
        (chart("scatter", series=[SHORT]), "of a scatter chart needs points"),
        (chart("scatter", categories=ABC, series=[POINTS]), "has no categories"),
        (chart("scatter", series=[POINTS, POINTS]), "duplicates: Cars"),
        (chart("scatter", series=[POINTS], stacked=True), "stacked works only with bar and area"),
        (chart("pie", categories=["a", "b"], series=[SHORT, {**SHORT, "name": "B"}]), "got 2"),
        (chart("pie", categories=["a"], series=[{"name": "P", "values": [-1]}]), "negative"),
        (chart("pie", categories=["a"], series=[]), "series"),
        (chart("radar", categories=["a", "b"], series=[SHORT]), "scatter"),
        (chart("pie", categories=["a", "b"], series=[GAPS]), "a pie chart has no gaps"),
        (chart("pie", categories=["a", "b"], series=[SHORT], xAxis={}), "has no xAxis"),
        (
            chart("line", categories=["a", "b"], series=[SHORT], horizontal=True),
            "works only with bar",
        ),
        (timed("line", "monday", "tuesday"), "'monday' is not an ISO date"),
        (timed("line", "2026-01-02", "2026-01-01"), "must be ascending"),
        (timed("bar", "2026-01-01", "2026-01-01"), "must be ascending and unique"),
        (timed("pie", "2026-01-01", "2026-01-02"), "does not work with pie"),
        (axis(format="currency", unit="euro"), "ISO 4217"),
        (axis(min=3, max=2), "min and max: 3 is greater"),
        (axis(decimals=7), "decimals"),
    ],
)
async def test_invalid_chart_is_rejected(arguments: Json, expected: str) -> None:
    assert expected in await rejection("generateChart", arguments)


async def test_scatter_has_points_and_pie_has_values() -> None:
    scatter = await output_of("generateChart", chart("scatter", series=[POINTS]))
    pie = await output_of("generateChart", chart("pie", categories=["a", "b"], series=[SHORT]))

    assert scatter["series"] == [POINTS]
    assert pie["series"] == [SHORT]


async def test_line_chart_accepts_gaps_and_time_axis() -> None:
    arguments = timed("line", "2026-01-01", "2026-01-01T12:00:00+01:00")

    content = await output_of("generateChart", {**arguments, "series": [GAPS]})

    assert content["series"][0]["values"] == [1, None]
    assert content["categories"] == arguments["categories"]


async def test_axis_returns_its_number_format() -> None:
    content = await output_of(
        "generateChart", axis(format="currency", unit="EUR", decimals=2, min=0)
    )

    assert content["yAxis"] == {"unit": "EUR", "format": "currency", "decimals": 2, "min": 0}


async def test_diff_without_changes_is_rejected() -> None:
    arguments = {"language": "python", "code": "a", "before": "a"}

    assert "omit it if nothing changed" in await rejection("generateCode", arguments)


async def test_card_with_two_primary_actions_is_rejected() -> None:
    action = {"type": "reply", "label": "Yes", "text": "Yes", "style": "primary"}

    error = await rejection("generateCard", {"title": "Card", "actions": [action, action]})

    assert "at most one action can be primary" in error


async def test_submit_action_name_with_spaces_is_rejected() -> None:
    action = {"type": "submit", "label": "Book", "name": "book it"}

    assert "name" in await rejection("generateCard", {"title": "Card", "actions": [action]})


async def test_highlighted_lines_outside_the_code_are_rejected() -> None:
    arguments = {"language": "Python", "code": "a\nb\n", "startLine": 10}

    content = await output_of("generateCode", {**arguments, "highlightedLines": [10, 11]})
    error = await rejection("generateCode", {**arguments, "highlightedLines": [11, 12]})

    assert content["language"] == "python"
    assert "highlightedLines must be within the lines of code, 10 to 11 (got 12)" in error


async def test_code_whitespace_is_preserved() -> None:
    code = "\tif x:\r\n\t\tpass  \n\n"

    content = await output_of("generateCode", {"language": "python", "code": code, "before": "\n"})

    assert (content["code"], content["before"]) == (code, "\n")


@pytest.mark.parametrize("url", ["https://example.com/a", "http://a.b/?c=d", "mailto:me@a.example"])
async def test_card_accepts_http_and_mailto_links(url: str) -> None:
    action = {"type": "link", "label": "Open", "url": url}

    content = await output_of("generateCard", {"title": "Card", "actions": [action]})

    assert content["actions"][0]["url"] == url


@pytest.mark.parametrize(
    "url",
    [
        "javascript:alert(1)",
        " JavaScript:alert(1)",
        "java\nscript:alert(1)",
        "\x01javascript:alert(1)",
        "data:text/html,<script>alert(1)</script>",
        "vbscript:x",
        "file:///etc/passwd",
        "//example.com",
        "/relative",
        "",
    ],
)
async def test_card_rejects_other_links(url: str) -> None:
    action = {"type": "link", "label": "Open", "url": url}

    assert "url" in await rejection("generateCard", {"title": "Card", "actions": [action]})


async def test_card_media_rejects_non_http_urls() -> None:
    media = {"url": "mailto:me@a.example", "alt": "Me"}

    assert "media" in await rejection("generateCard", {"title": "Card", "media": media})


@pytest.mark.parametrize(
    ("name", "required", "optional"),
    [
        ("generateForm", {"title", "fields"}, {"description", "submitLabel"}),
        (
            "generateChart",
            {"type", "title", "series"},
            {"description", "categories", "categoryType"}
            | {"xAxis", "yAxis", "stacked", "horizontal"},
        ),
        (
            "generateCode",
            {"language", "code"},
            {"before", "title", "filename", "startLine", "highlightedLines"},
        ),
        (
            "generateCard",
            {"title"},
            {"subtitle", "media", "body", "badges", "facts", "actions", "layout"},
        ),
    ],
)
def test_tool_parameters_match_the_fields(
    name: str, required: set[str], optional: set[str]
) -> None:
    schema = DISPLAY_TOOLS[name].tool_def.parameters_json_schema

    assert schema["type"] == "object"
    assert set(schema["properties"]) == required | optional
    assert set(schema["required"]) == required


@pytest.mark.parametrize("name", DISPLAY_TOOL_NAMES)
def test_schema_is_short_and_compatible_with_openai(name: str) -> None:
    definition = DISPLAY_TOOLS[name].tool_def
    text = json.dumps(OpenAIJsonSchemaTransformer(definition.parameters_json_schema).walk())

    assert definition.description
    assert len(text) < 6500
    assert '{"type": "null"}' not in text
    assert '"default": null' not in text
    assert "_" not in json.dumps(list(definition.parameters_json_schema["properties"]))


def test_each_form_field_schema_has_a_distinct_type() -> None:
    definitions = DISPLAY_TOOLS["generateForm"].tool_def.parameters_json_schema["$defs"]
    types = [d["properties"]["type"] for d in definitions.values() if "type" in d["properties"]]

    assert {name for kind in types for name in kind.get("enum", [kind.get("const")])} == {
        "text",
        "email",
        "url",
        "tel",
        "textarea",
        "number",
        "select",
        "radio",
        "multi-select",
        "checkbox",
        "date",
        "time",
        "file",
    }


@pytest.mark.parametrize("model", [Form, Chart, Code, Card])
def test_arguments_are_frozen(model: type[Form | Chart | Code | Card]) -> None:
    (example,) = (value for value in EXAMPLES.values() if isinstance(value, model))

    with pytest.raises(ValidationError, match="frozen"):
        example.title = "Another"
