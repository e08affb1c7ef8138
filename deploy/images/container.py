"""Runs the process of an image without a daemon, under the chart's security context."""

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.processes import ServerProcess

CONTAIN = Path(__file__).with_name("contain.sh")


@dataclass(frozen=True)
class Image:
    root: Path
    config: Mapping[str, Any]
    health: tuple[str, ...]
    layer_ids: tuple[str, ...]

    @property
    def environment(self) -> dict[str, str]:
        return dict(variable.split("=", 1) for variable in self.config["Env"])


@contextmanager
def mounted(name: str) -> Generator[Image]:
    """Mount the image and read its metadata."""
    container = _buildah("from", "--pull-never", name)
    try:
        metadata = json.loads(_buildah("inspect", "--type", "image", name))
        yield Image(
            Path(_buildah("mount", container)),
            metadata["OCIv1"]["config"],
            tuple(metadata["Docker"]["config"]["Healthcheck"]["Test"][1:]),
            tuple(metadata["OCIv1"]["rootfs"]["diff_ids"]),
        )
    finally:
        _buildah("rm", container)


def _buildah(*arguments: str) -> str:
    command = ["buildah", *arguments]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


class Container(ServerProcess):
    """Process 1 of an image. Its environment is that of the image and `env`."""

    def __init__(self, image: Image, hostname: str, env: Mapping[str, str]) -> None:
        self._image, self._hostname, self._settings = image, hostname, env
        command = [*image.config["Entrypoint"], *image.config["Cmd"]]
        super().__init__(*_contained(image, hostname, env, command))

    def send(self, number: signal.Signals) -> None:
        os.kill(_only_child(self.child.pid), number)

    def end(self) -> None:
        """Kill the process if it is still running, and close its output."""
        self.child.kill()
        self.child.wait()
        self._output.close()

    async def is_healthy(self) -> bool:
        return await is_healthy(self._image, self._hostname, self._settings)


async def is_healthy(image: Image, hostname: str, env: Mapping[str, str]) -> bool:
    """Run the image's health check in a container with that host name."""
    command = _contained(image, hostname, env, image.health)
    child = await asyncio.create_subprocess_exec(*command)
    return await child.wait() == 0


def _contained(
    image: Image, hostname: str, env: Mapping[str, str], command: Sequence[str]
) -> list[str]:
    variables = [f"{name}={value}" for name, value in {**image.environment, **env}.items()]
    target = [str(image.root), hostname, image.config["WorkingDir"]]
    return [str(CONTAIN), *target, "env", "-i", *variables, *command]


def _only_child(pid: int) -> int:
    [child] = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return int(child)
