"""Runs the scenarios of `drive.mjs`."""

import asyncio
import json
import subprocess
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel

from web.client import build_client
from web.node import find_node

FOLDER = Path(__file__).parent

Library = Literal["svelte", "vue"]
Transport = Literal["default", "mamba", "workflow"]
Scenario = Literal["answer", "stop", "resume", "reconnect"]


class Shown(BaseModel):
    """What the page shows at the end."""

    status: str
    error: str | None = None
    messages: list[dict[str, Any]]

    @property
    def text(self) -> str:
        parts = self.messages[-1]["parts"]
        return "".join(part["text"] for part in parts if part["type"] == "text")


async def play(
    library: Library, transport: Transport, scenario: Scenario, **options: object
) -> Shown:
    """Run a scenario in a separate process, and return what the page shows at the end."""
    command = json.dumps(
        {"library": library, "transport": transport, "scenario": scenario, **options}
    )
    return Shown.model_validate_json(await run_script("drive.mjs", command))


async def run_script(name: str, *arguments: str) -> str:
    """Run a script of this folder in Node.js, and return its last line of output."""
    return await asyncio.to_thread(_run, name, *arguments)


def _run(name: str, *arguments: str) -> str:
    node = find_node()
    node.install(FOLDER)
    build_client()
    command = [node.path, FOLDER / name, *arguments]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=180, check=False)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout.splitlines()[-1]
