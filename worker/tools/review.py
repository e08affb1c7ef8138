"""The code review tools. They analyze the code in the conversation and never execute it."""

import asyncio
from collections.abc import Iterable, Iterator, Sequence
from typing import Annotated, NamedTuple

from pydantic import Field, JsonValue
from pydantic_ai import ModelRetry, RunContext, Tool, ToolReturn
from pydantic_ai.messages import BinaryContent, ModelMessage, ModelRequest, UserPromptPart
from typing_extensions import TypedDict

from shared.agents.display.arguments import Arguments
from shared.agents.display.card import Badge, Card, Fact
from shared.agents.display.schema import CompactSchema
from shared.chat.media_types import is_text
from shared.streams.events import Data
from shared.text_decoding import decode_text
from worker.review.extract import SourceExtractor
from worker.review.findings import Category, FileMetrics, Finding, Report, Severity
from worker.review.inspection import InspectionFailed, inspect_sources
from worker.review.source import ReviewSource
from worker.tools.bounded_result import LeftOut, bounded
from worker.tools.context import AgentRun

_TONES: dict[Severity, str] = {"high": "danger", "medium": "warning", "low": "info"}


#: Characters of a conversation that are searched for code, the newest first.
_MAX_SEARCHED = 4_000_000
#: File names in an error text.
_MAX_NAMES = 30
#: A model can call many tools in one step.
_EXTRACTIONS = asyncio.Semaphore(2)

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


async def list_files(context: RunContext[AgentRun]) -> list[ReviewedFile | LeftOut]:
    """List the code to review: the files, diffs and code blocks of the conversation."""
    found = await _extracted(context)
    return bounded([_listed(source) for source in found.sources], note=found.note)


async def analyze_complexity(
    context: RunContext[AgentRun], path: _Path = None
) -> list[FileMetrics | LeftOut]:
    """Measure each function: cyclomatic complexity, length, parameters, nesting."""
    report = await _inspect(context, path)
    return bounded(report.files, advice="Name a path to see the others.")


async def find_problems(
    context: RunContext[AgentRun], path: _Path = None
) -> list[Finding | LeftOut]:
    """Find bugs, security problems, complex or duplicate code and syntax errors.

    This is static analysis. For a diff, it returns only findings about changed lines. Check each
    finding against the code before you report it.
    """
    report = await _inspect(context, path)
    advice = "The most severe are listed. Name a path to see more."
    return bounded(report.findings, left_out=report.cut, advice=advice)


async def report_finding(
    context: RunContext[AgentRun], finding: ReviewFinding
) -> ToolReturn[dict[str, JsonValue]]:
    """Show a finding to the user as a card. Call it once per finding."""
    source = _source_by_path((await _extracted(context)).sources, finding.path)
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


class Extracted(NamedTuple):
    sources: list[ReviewSource]
    #: What was left out, if anything.
    note: str | None


def review_sources(messages: Sequence[ModelMessage]) -> Extracted:
    """Extract the code from the user's messages, with the newest version of each file.

    Raises:
        ModelRetry: if there is no code.
    """
    sources = SourceExtractor()
    prompts = [
        part
        for message in messages
        if isinstance(message, ModelRequest)
        for part in message.parts
        if isinstance(part, UserPromptPart)
    ]
    contents = list(_contents(prompts))
    newest = _newest(contents)
    if older := len(contents) - len(newest):
        sources.leave_out(f"messages and files before the last {_MAX_SEARCHED:,} characters", older)
    for content in newest:
        if isinstance(content, str):
            sources.add_text(content)
        else:
            sources.add_file(content.identifier, decode_text(content.data))
    found = sources.all()
    if not found:
        note = sources.note()
        raise ModelRetry(
            f"The conversation contains no code. {f'{note} ' if note else ''}Ask the user for it."
        )
    return Extracted(found, sources.note())


def _contents(prompts: Iterable[UserPromptPart]) -> Iterator[str | BinaryContent]:
    for prompt in prompts:
        for content in [prompt.content] if isinstance(prompt.content, str) else prompt.content:
            if isinstance(content, str) or (
                isinstance(content, BinaryContent) and is_text(content.media_type)
            ):
                yield content


def _newest(contents: list[str | BinaryContent]) -> list[str | BinaryContent]:
    """Return the newest contents up to the limit on what is searched for code, oldest first."""
    remaining = _MAX_SEARCHED
    for number, content in enumerate(reversed(contents)):
        remaining -= len(content) if isinstance(content, str) else len(content.data)
        if remaining < 0 and number:
            return contents[len(contents) - number :]
    return contents


async def _extracted(context: RunContext[AgentRun]) -> Extracted:
    """Extract in a thread, because megabytes of diffs take a second."""
    async with _EXTRACTIONS:
        return await asyncio.to_thread(review_sources, tuple(context.messages))


async def _inspect(context: RunContext[AgentRun], path: str | None) -> Report:
    sources = (await _extracted(context)).sources
    try:
        return await inspect_sources([_source_by_path(sources, path)] if path else sources)
    except InspectionFailed as error:
        raise ModelRetry(str(error)) from error


def _source_by_path(sources: list[ReviewSource], path: str) -> ReviewSource:
    for source in sources:
        if source.path == path:
            return source
    names = [source.path for source in sources]
    others = f" and {len(names) - _MAX_NAMES} more" if len(names) > _MAX_NAMES else ""
    raise ModelRetry(f"There is no {path[:200]!r}. Files: {', '.join(names[:_MAX_NAMES])}{others}.")


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
