"""How the demo model uses the tools of agents and clients that it does not know."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from pydantic_ai.messages import ToolReturnPart
from pydantic_ai.tools import ToolDefinition

_MAX_QUOTE_CHARS = 700


@dataclass(frozen=True)
class DemoCall:
    """A tool, and the arguments with which it is called."""

    tool: str
    arguments: dict[str, Any]


def requested_call(tools: Iterable[ToolDefinition], prompt: str) -> DemoCall | None:
    """Return a call of the first tool whose name's words are all in the prompt.

    The value of an argument is the word after its name: "Refund invoice A17" calls
    `refund_invoice` with `{"invoice": "A17"}`. A tool is not called without its required arguments.
    """
    words = re.findall(r"\w[\w.@-]*\w|\w", prompt)
    lower = [word.lower() for word in words]
    values = dict(zip(lower, words[1:], strict=False))
    for tool in tools:
        schema = tool.parameters_json_schema
        names: Iterable[str] = schema.get("properties", {})
        arguments = {name: values[name.lower()] for name in names if name.lower() in values}
        if _name_words(tool.name) <= set(lower) and arguments.keys() >= set(
            schema.get("required", ())
        ):
            return DemoCall(tool.name, arguments)
    return None


def result_text(result: ToolReturnPart) -> str:
    """Return the text of the step after a result."""
    quote = "\n".join(
        f"> {line}" for line in result.model_response_str()[:_MAX_QUOTE_CHARS].splitlines()
    )
    return f"The tool `{result.tool_name}` returned:\n\n{quote}"


def _name_words(name: str) -> set[str]:
    """Return the words of a name in snake_case, kebab-case, or camelCase."""
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z0-9]+|[A-Z]+(?![a-z])", name)}
