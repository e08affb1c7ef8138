import asyncio

from pydantic_ai import RunContext
from pydantic_ai.messages import ModelRequest, UserPromptPart
from pydantic_ai.models.test import TestModel
from pydantic_ai.usage import RunUsage

from worker.tools.context import AgentRun
from worker.tools.review import list_files


async def test_code_extraction_does_not_block_the_event_loop() -> None:
    iterations = 0

    async def other_run() -> None:
        nonlocal iterations
        while True:
            await asyncio.sleep(0)
            iterations += 1

    message = ModelRequest(parts=[UserPromptPart("```py\nx = 1\n```")])
    deps = AgentRun("run", "chat", "request")
    context = RunContext(deps=deps, model=TestModel(), usage=RunUsage(), messages=[message])
    other = asyncio.create_task(other_run())

    [file] = await list_files(context)

    other.cancel()
    assert file["path"] == "block-1.py"
    assert iterations
