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
    """What an agent tells the model that calls `tool` with one set of arguments after another."""
    calls = iter(attempts)

    def answer(_: list[ModelMessage], __: AgentInfo) -> ModelResponse:
        arguments = next(calls, None)
        if arguments is None:
            return ModelResponse([TextPart("done")])
        return ModelResponse([ToolCallPart(tool, json.dumps(arguments))])

    run = await Agent(FunctionModel(answer), tools=display_tools([tool])).run("show it")
    requests = [message for message in run.all_messages() if isinstance(message, ModelRequest)]
    return [
        part for message in requests for part in message.parts if isinstance(part, ToolReturnPart)
    ]


async def shown(tool: str, arguments: Json) -> Any:
    (result,) = await call(tool, arguments)
    assert result.outcome == "success"
    return result.content


async def complaint(tool: str, arguments: Json) -> str:
    """The text in which the model is asked to correct its arguments."""
    (result,) = await call(tool, arguments)
    assert result.outcome == "retried"
    return result.model_response_str()


def form(**field: Any) -> Json:
    return {"title": "Form", "fields": [{"name": "field", "label": "Field", **field}]}


def chart(kind: str, **arguments: Any) -> Json:
    return {"type": kind, "title": "Chart", **arguments}


def date_field() -> Json:
    return {"name": "when", "label": "When", "type": "date", "min": "2026-01-31"}


def test_the_tools_are_those_the_api_lets_a_request_name() -> None:
    assert tuple(DISPLAY_TOOLS) == DISPLAY_TOOL_NAMES
    assert [tool.name for tool in DISPLAY_TOOLS.values()] == list(DISPLAY_TOOL_NAMES)
    assert set(EXAMPLES) == set(DISPLAY_TOOL_NAMES)


def test_only_the_named_tools_are_given_and_each_once() -> None:
    tools = display_tools(["generateCard", "generateForm", "generateCard"])

    assert [tool.name for tool in tools] == ["generateCard", "generateForm"]


@pytest.mark.parametrize("name", DISPLAY_TOOL_NAMES)
async def test_a_tool_returns_its_arguments(name: str) -> None:
    arguments = EXAMPLES[name].output()

    assert await shown(name, arguments) == arguments


# A chart is left out: that values fit categories is greater than a schema says.
@pytest.mark.parametrize("name", ["generateForm", "generateCode", "generateCard"])
async def test_a_model_that_follows_only_the_schema_is_understood(name: str) -> None:
    model = TestModel(call_tools=[name])

    run = await Agent(model, tools=display_tools([name])).run("show it")

    assert "retried" not in {
        part.outcome
        for message in run.all_messages()
        for part in message.parts
        if isinstance(part, ToolReturnPart)
    }


async def test_defaults_are_filled_in_and_nothing_is_null() -> None:
    content = await shown("generateForm", form(type="text", placeholder=None))

    assert content == {
        "title": "Form",
        "fields": [{"name": "field", "label": "Field", "required": False, "type": "text"}],
        "submitLabel": "Submit",
    }


async def test_names_in_snake_case_unknown_keys_and_numbers_for_texts_are_forgiven() -> None:
    arguments = {"title": 7, "submit_label": "Go", "theme": "dark", "fields": [date_field()]}

    content = await shown("generateForm", arguments)

    assert content["title"] == "7"
    assert content["submitLabel"] == "Go"
    assert "theme" not in content


async def test_dates_and_urls_are_returned_as_json() -> None:
    content = await shown("generateForm", {"title": "Form", "fields": [date_field()]})

    assert content["fields"][0]["min"] == "2026-01-31"


async def test_whole_numbers_stay_whole() -> None:
    content = await shown("generateForm", form(type="number", min=1, max=2.5, step=1))

    assert json.dumps(content["fields"][0]["min"]) == "1"
    assert content["fields"][0]["max"] == 2.5


async def test_wrong_arguments_come_back_to_the_model_which_may_correct_them() -> None:
    wrong, right = form(type="slider"), form(type="number")

    first, second = await call("generateForm", wrong, right)

    assert first.outcome == "retried"
    assert "multi-select" in first.model_response_str()
    assert second.outcome == "success"


async def test_the_model_has_three_attempts_at_correcting() -> None:
    wrong, right = form(type="slider"), form(type="number")

    results = await call("generateForm", wrong, wrong, wrong, right)

    assert [result.outcome for result in results] == ["retried"] * 3 + ["success"]


OPTIONS = [{"value": "a", "label": "A"}, {"value": "b", "label": "B"}]


@pytest.mark.parametrize(
    ("field", "words"),
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
async def test_a_form_field_that_contradicts_itself_is_explained(field: Json, words: str) -> None:
    assert words in await complaint("generateForm", form(**field))


async def test_field_names_must_be_unique() -> None:
    arguments = {"title": "Form", "fields": [date_field(), date_field()]}

    assert "duplicates: when" in await complaint("generateForm", arguments)


@pytest.mark.parametrize("pattern", [r"(?<year>\d{4})-\k<year>", r"\p{L}+", "[a-z]+", r"^\+?\d+$"])
async def test_a_pattern_may_be_anything_that_javascript_reads(pattern: str) -> None:
    content = await shown("generateForm", form(type="text", pattern=pattern))

    assert content["fields"][0]["pattern"] == pattern


async def test_a_time_is_that_of_a_clock() -> None:
    field = form(type="time", min="09:00:00.5Z", default="10:00+02:00", max="18:00")

    [time] = (await shown("generateForm", field))["fields"]

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
async def test_a_field_may_depend_on_an_earlier_one(field: str, equals: Any) -> None:
    content = await shown("generateForm", conditional(field, equals))

    condition = content["fields"][-1]["visibleWhen"]
    assert condition == {"field": field, "equals": equals}
    assert type(condition["equals"]) is type(equals)


@pytest.mark.parametrize(
    ("field", "equals", "words"),
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
async def test_a_condition_that_nothing_fulfils_is_explained(
    field: str, equals: Any, words: str
) -> None:
    assert words in await complaint("generateForm", conditional(field, equals))


SHORT = {"name": "Sales", "values": [1, 2]}
POINTS = {"name": "Cars", "points": [{"x": 1, "y": 2}]}
GAPS = {"name": "Sales", "values": [1, None]}
ABC = ["a", "b", "c"]


def timed(kind: str, *categories: str) -> Json:
    return chart(kind, categories=list(categories), categoryType="time", series=[SHORT])


def axis(**axis: Any) -> Json:
    return chart("bar", categories=["a", "b"], series=[SHORT], yAxis=axis)


@pytest.mark.parametrize(
    ("arguments", "words"),
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
async def test_a_chart_whose_series_do_not_fit_is_explained(arguments: Json, words: str) -> None:
    assert words in await complaint("generateChart", arguments)


async def test_a_scatter_chart_has_points_and_a_pie_has_slices() -> None:
    scatter = await shown("generateChart", chart("scatter", series=[POINTS]))
    pie = await shown("generateChart", chart("pie", categories=["a", "b"], series=[SHORT]))

    assert scatter["series"] == [POINTS]
    assert pie["series"] == [SHORT]


async def test_a_line_may_have_gaps_and_a_time_axis() -> None:
    arguments = timed("line", "2026-01-01", "2026-01-01T12:00:00+01:00")

    content = await shown("generateChart", {**arguments, "series": [GAPS]})

    assert content["series"][0]["values"] == [1, None]
    assert content["categories"] == arguments["categories"]


async def test_an_axis_says_how_its_numbers_are_written() -> None:
    content = await shown("generateChart", axis(format="currency", unit="EUR", decimals=2, min=0))

    assert content["yAxis"] == {"unit": "EUR", "format": "currency", "decimals": 2, "min": 0}


async def test_a_diff_without_a_change_is_explained() -> None:
    arguments = {"language": "python", "code": "a", "before": "a"}

    assert "omit it if nothing changed" in await complaint("generateCode", arguments)


async def test_a_card_has_one_primary_action_at_most() -> None:
    action = {"type": "reply", "label": "Yes", "text": "Yes", "style": "primary"}

    words = await complaint("generateCard", {"title": "Card", "actions": [action, action]})

    assert "at most one action can be primary" in words


async def test_a_submitted_action_has_a_name_that_programs_can_switch_on() -> None:
    action = {"type": "submit", "label": "Book", "name": "book it"}

    assert "name" in await complaint("generateCard", {"title": "Card", "actions": [action]})


async def test_highlighted_lines_must_be_lines_of_the_code() -> None:
    arguments = {"language": "Python", "code": "a\nb\n", "startLine": 10}

    content = await shown("generateCode", {**arguments, "highlightedLines": [10, 11]})
    words = await complaint("generateCode", {**arguments, "highlightedLines": [11, 12]})

    assert content["language"] == "python"
    assert "highlightedLines must be within the lines of code, 10 to 11 (got 12)" in words


async def test_code_keeps_its_whitespace() -> None:
    code = "\tif x:\r\n\t\tpass  \n\n"

    content = await shown("generateCode", {"language": "python", "code": code, "before": "\n"})

    assert (content["code"], content["before"]) == (code, "\n")


@pytest.mark.parametrize("url", ["https://example.com/a", "http://a.b/?c=d", "mailto:me@a.example"])
async def test_a_card_links_to_pages_and_mail(url: str) -> None:
    action = {"type": "link", "label": "Open", "url": url}

    content = await shown("generateCard", {"title": "Card", "actions": [action]})

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
async def test_a_card_links_nowhere_else(url: str) -> None:
    action = {"type": "link", "label": "Open", "url": url}

    assert "url" in await complaint("generateCard", {"title": "Card", "actions": [action]})


async def test_a_card_shows_only_pictures_of_the_web() -> None:
    media = {"url": "mailto:me@a.example", "alt": "Me"}

    assert "media" in await complaint("generateCard", {"title": "Card", "media": media})


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
def test_the_parameters_are_the_fields_themselves(
    name: str, required: set[str], optional: set[str]
) -> None:
    schema = DISPLAY_TOOLS[name].tool_def.parameters_json_schema

    assert schema["type"] == "object"
    assert set(schema["properties"]) == required | optional
    assert set(schema["required"]) == required


@pytest.mark.parametrize("name", DISPLAY_TOOL_NAMES)
def test_the_schema_is_short_and_fit_for_openai(name: str) -> None:
    definition = DISPLAY_TOOLS[name].tool_def
    text = json.dumps(OpenAIJsonSchemaTransformer(definition.parameters_json_schema).walk())

    assert definition.description
    assert len(text) < 6500
    assert '{"type": "null"}' not in text
    assert '"default": null' not in text
    assert "_" not in json.dumps(list(definition.parameters_json_schema["properties"]))


def test_form_fields_are_told_apart_by_their_type() -> None:
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
