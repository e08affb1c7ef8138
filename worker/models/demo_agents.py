"""How the demo model uses the tools of the built-in agents."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic_ai.messages import ToolReturnPart
from pydantic_core import to_jsonable_python

_MAX_REPORTED = 3
_MAX_QUOTE_CHARS = 700
_EMAIL = re.compile(r"\bsend an e-?mail\b|\bapproval\b", re.IGNORECASE)
_EMAIL_ARGUMENTS = {
    "to": "team@example.com",
    "subject": "Answers survive",
    "text": "You can kill the worker before you decide, and while the tool runs.",
}
_APPROVAL_EXPLAINED = (
    "No worker waited for your decision: the first run had ended, and its stream holds the call"
    " with its arguments. Your decision started another run, which continues this message. In the"
    " meantime, you could have reloaded the page, restarted the API, or replaced all workers. Only"
    " the first decision counts, even if you decide in two tabs. If a worker is killed while it"
    " executes an approved call, another worker executes the call again without a second question."
)


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
    if "send_email" in tools and _EMAIL.search(prompt):
        return _email(results)
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


def _email(results: Sequence[ToolReturnPart]) -> DemoStep:
    match results:
        case []:
            text = "This email is ready. The tool that sends it needs your approval."
            return DemoStep(text, "send_email", _EMAIL_ARGUMENTS)
        case [ToolReturnPart(outcome="success", content=content), *_]:
            return DemoStep(f"{content}\n\n{_APPROVAL_EXPLAINED}")
        case _:
            return DemoStep(f"The call was denied, so no email was sent.\n\n{_APPROVAL_EXPLAINED}")


def _finding(problem: dict[str, Any]) -> dict[str, Any]:
    fields = ("path", "line", "end_line", "severity", "category")
    return {name: problem[name] for name in fields} | {
        "title": problem["rule"],
        "explanation": problem["message"],
    }
