"""What the demo model does as the agents `research` and `code_review`: it uses their tools."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_ai.messages import ToolReturnPart
from pydantic_core import to_jsonable_python

_MAX_REPORTED = 3
_MAX_QUOTE_CHARS = 700


@dataclass(frozen=True)
class DemoStep:
    """The text of a step, and the tool that it calls."""

    text: str
    tool: str = ""
    arguments: dict[str, Any] | None = None


def agent_step(
    tools: Collection[str], prompt: str, results: Sequence[ToolReturnPart]
) -> DemoStep | None:
    """Return the next step after these results; None for an agent without such tools."""
    if "search_notes" in tools:
        return _research(prompt, results)
    if "find_problems" in tools:
        return _review(results)
    return None


def failed_step() -> DemoStep:
    """Return the step after a tool that could not be used."""
    return DemoStep("The tool could not be used. Send a block of code, or ask a question.")


def _research(prompt: str, results: Sequence[ToolReturnPart]) -> DemoStep:
    match [to_jsonable_python(result.content) for result in results]:
        case []:
            return DemoStep("Searching the notes.", "search_notes", {"query": prompt})
        case [[{"id": note}, *_]]:
            return DemoStep("The best match is this note.", "read_note", {"id": note})
        case [_, {"title": title, "text": text}]:
            quote = "\n".join(f"> {line}" for line in text[:_MAX_QUOTE_CHARS].splitlines())
            return DemoStep(f"The demo model quotes the note [{title}]:\n\n{quote}")
        case _:
            return DemoStep("The notes contain nothing about this.")


def _review(results: Sequence[ToolReturnPart]) -> DemoStep:
    if not results:
        return DemoStep("Searching the code for problems.", "find_problems", {})
    problems = [found for found in to_jsonable_python(results[0].content) if "rule" in found]
    reported = len(results) - 1
    if reported < min(len(problems), _MAX_REPORTED):
        return DemoStep("", "report_finding", {"finding": _finding(problems[reported])})
    return DemoStep(
        f"The analysis found {len(problems)} problems; {reported} of them are shown above. A real"
        " model would also read the code."
    )


def _finding(problem: dict[str, Any]) -> dict[str, Any]:
    fields = ("path", "line", "end_line", "severity", "category")
    return {name: problem[name] for name in fields} | {
        "title": problem["rule"],
        "explanation": problem["message"],
    }
