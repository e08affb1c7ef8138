import asyncio

import pytest
from pydantic import TypeAdapter
from pydantic_ai import ModelRetry, RunContext
from pydantic_ai.messages import BinaryContent, ModelMessage, ModelRequest, UserPromptPart
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RunUsage

from worker.tools.bounded_result import MAX_RESULT_CHARS, bounded
from worker.tools.context import AgentRun
from worker.tools.review import ReviewFinding as Reported
from worker.tools.review import (
    analyze_complexity,
    find_problems,
    list_files,
    report_finding,
    review_sources,
)


def conversation(*contents: str | BinaryContent) -> RunContext[AgentRun]:
    messages: list[ModelMessage] = [
        ModelRequest(parts=[UserPromptPart([content])]) for content in contents
    ]
    deps = AgentRun("run", "chat", "request")
    return RunContext(deps=deps, model=TestModel(), usage=RunUsage(), messages=messages)


def size(result: object) -> int:
    return len(TypeAdapter(object).dump_json(result))


async def test_code_extraction_does_not_block_the_event_loop() -> None:
    iterations = 0

    async def other_run() -> None:
        nonlocal iterations
        while True:
            await asyncio.sleep(0)
            iterations += 1

    context = conversation("```py\nx = 1\n```")
    other = asyncio.create_task(other_run())

    [file] = await list_files(context)

    other.cancel()
    assert "path" in file
    assert file["path"] == "block-1.py"
    assert iterations


async def test_listing_of_half_a_million_blocks_is_bounded() -> None:
    result = await list_files(conversation("```py\nx = 1\n```\n" * 550_000))

    *files, last = result
    assert len(files) == 200
    assert "2,000,000 characters" in str(last)
    assert size(result) < MAX_RESULT_CHARS + 1000


async def test_results_about_a_long_file_are_bounded() -> None:
    functions = "".join(
        f"def function_{n}(a=[]):\n    if a == None:\n        return eval(a)\n\n\n"
        for n in range(250)
    )
    context = conversation(BinaryContent(functions.encode(), media_type="text/x-python"))

    measured = await analyze_complexity(context)
    problems = await find_problems(context)

    [file] = TypeAdapter(list[dict[str, object]]).validate_python(
        TypeAdapter(object).dump_python(measured)
    )
    assert file["functions_left_out"] == 150
    assert size(measured) < MAX_RESULT_CHARS
    assert size(problems) < MAX_RESULT_CHARS + 1000
    assert "left out" in str(problems[-1])


def test_only_the_newest_messages_are_searched() -> None:
    old, new = ("```py old.py\nx = 1\n```", "```py new.py\nx = 1\n```")
    found = review_sources(conversation(old, "x" * 3_999_970, new).messages)

    assert [source.path for source in found.sources] == ["new.py"]
    assert "messages and files before the last 4,000,000 characters (1)" in (found.note or "")


def test_attachments_are_decoded() -> None:
    content = "name = 'Grüße'\r\n".encode("cp1252")
    file = BinaryContent(content, media_type="text/x-python", identifier="a.py")
    [source] = review_sources(conversation(file).messages).sources

    assert source.fragments[0].text == "name = 'Grüße'\n"


async def test_error_about_an_unknown_path_is_short() -> None:
    context = conversation("".join(f"```py file-{n}.py\nx\n```\n" for n in range(150)))
    finding = Reported(
        path="nowhere.py", line=1, severity="low", category="bug", title="a", explanation="b"
    )

    with pytest.raises(ModelRetry, match="and 120 more"):
        await report_finding(context, finding)


def test_note_counts_the_items_that_do_not_fit() -> None:
    result = bounded(["x" * 1000] * 100, left_out=5, advice="Ask for less.")

    assert len(result) == 30
    assert result[-1] == {"note": "76 more are left out of this result. Ask for less."}
    assert bounded([1, 2]) == [1, 2]
