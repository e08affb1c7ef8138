"""The code review tools. They analyze the code in the conversation and never execute it."""

import asyncio
from typing import Annotated

from pydantic import Field, JsonValue
from pydantic_ai import ModelRetry, RunContext, Tool, ToolReturn
from pydantic_ai.messages import BinaryContent, ModelMessage, ModelRequest, UserPromptPart
from typing_extensions import TypedDict

from shared.agents.display.arguments import Arguments
from shared.agents.display.card import Badge, Card, Fact
from shared.agents.display.schema import CompactSchema
from shared.chat.media_types import is_text
from shared.streams.events import Data
from worker.review.extract import SourceExtractor
from worker.review.findings import Category, FileMetrics, Finding, Report, Severity
from worker.review.inspection import InspectionFailed, inspect_sources
from worker.review.source import ReviewSource
from worker.tools.context import AgentRun

_TONES: dict[Severity, str] = {"high": "danger", "medium": "warning", "low": "info"}


_Path = Annotated[str | None, Field(description="A file. Omit it to check all files.")]


class ReviewedFile(TypedDict):
    path: str
    language: str | None
    lines: int
    #: Number of new or changed lines; None without a diff.
    changed_lines: int | None


class ReviewFinding(Arguments):
    """One thing to change."""

    path: str
    line: int
    end_line: int | None = None
    severity: Severity
    category: Category
    title: str
    """A few words."""
    explanation: str
    """What is wrong, and its consequences."""
    suggestion: str | None = None
    """How to fix it, with code if that helps."""


async def list_files(context: RunContext[AgentRun]) -> list[ReviewedFile]:
    """List the code to review: the files, diffs and code blocks of the conversation."""
    return [_listed(source) for source in await _sources(context)]


async def analyze_complexity(
    context: RunContext[AgentRun], path: _Path = None
) -> list[FileMetrics]:
    """Measure each function: cyclomatic complexity, length, parameters, nesting."""
    return list((await _inspect(context, path)).files)


async def find_problems(context: RunContext[AgentRun], path: _Path = None) -> list[Finding]:
    """Find bugs, security problems, complex or duplicate code and syntax errors.

    This is static analysis. For a diff, it returns only findings about changed lines. Check each
    finding against the code before you report it.
    """
    return list((await _inspect(context, path)).findings)


async def report_finding(
    context: RunContext[AgentRun], finding: ReviewFinding
) -> ToolReturn[dict[str, JsonValue]]:
    """Show a finding to the user as a card. Call it once per finding."""
    source = _source_by_path(await _sources(context), finding.path)
    if not _has_line(source, finding.line):
        raise ModelRetry(f"{finding.path} has no line {finding.line}. Use an existing line.")
    card = Data(
        type="data-card",
        id=f"{finding.path}:{finding.line}:{finding.title}",
        data=_card(finding).output(),
    )
    return ToolReturn(finding.output(), metadata=[card])


REVIEW_TOOLS: tuple[Tool[AgentRun], ...] = (
    Tool(list_files, schema_generator=CompactSchema),
    Tool(analyze_complexity, schema_generator=CompactSchema),
    Tool(find_problems, schema_generator=CompactSchema),
    Tool(report_finding, schema_generator=CompactSchema),
)


def review_sources(messages: list[ModelMessage]) -> list[ReviewSource]:
    """Extract the code from the user's messages, with the newest version of each file.

    Raises:
        ModelRetry: if there is no code.
    """
    sources = SourceExtractor()
    for message in messages:
        for part in message.parts if isinstance(message, ModelRequest) else ():
            if isinstance(part, UserPromptPart):
                _add(sources, part)
    found = sources.all()
    if not found:
        raise ModelRetry("The conversation contains no code. Ask the user for it.")
    return found


def _add(sources: SourceExtractor, prompt: UserPromptPart) -> None:
    for content in [prompt.content] if isinstance(prompt.content, str) else prompt.content:
        if isinstance(content, str):
            sources.add_text(content)
        elif isinstance(content, BinaryContent) and is_text(content.media_type):
            sources.add_file(content.identifier, content.data.decode(errors="replace"))


async def _sources(context: RunContext[AgentRun]) -> list[ReviewSource]:
    """Extract in a thread, because megabytes of diffs take a second."""
    return await asyncio.to_thread(review_sources, context.messages)


async def _inspect(context: RunContext[AgentRun], path: str | None) -> Report:
    sources = await _sources(context)
    try:
        return await inspect_sources([_source_by_path(sources, path)] if path else sources)
    except InspectionFailed as error:
        raise ModelRetry(str(error)) from error


def _source_by_path(sources: list[ReviewSource], path: str) -> ReviewSource:
    for source in sources:
        if source.path == path:
            return source
    raise ModelRetry(f"There is no {path!r}. Files: {', '.join(s.path for s in sources)}.")


def _has_line(source: ReviewSource, line: int) -> bool:
    return any(fragment.start <= line <= fragment.end for fragment in source.fragments)


def _listed(source: ReviewSource) -> ReviewedFile:
    return ReviewedFile(
        path=source.path,
        language=source.language,
        lines=source.lines,
        changed_lines=None if source.changed is None else len(source.changed),
    )


def _card(finding: ReviewFinding) -> Card:
    location = f"{finding.path}:{finding.line}"
    last = finding.end_line
    body = finding.explanation
    if finding.suggestion:
        body = f"{body}\n\n**Suggestion**\n\n{finding.suggestion}"
    return Card(
        title=finding.title,
        subtitle=f"{location}-{last}" if last and last != finding.line else location,
        body=body,
        badges=[
            Badge.model_validate({"label": finding.severity, "tone": _TONES[finding.severity]})
        ],
        facts=[Fact(label="Category", value=finding.category)],
    )
