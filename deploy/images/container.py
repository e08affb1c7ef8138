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
#: UID and GID: those of the image, and those that OpenShift might assign.
IMAGE_USER = "1000:1000"
OPENSHIFT_USER = "1000680000:0"


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

    def __init__(
        self, image: Image, hostname: str, env: Mapping[str, str], user: str = IMAGE_USER
    ) -> None:
        self._image, self._settings, self._user = image, env, user
        command = [*image.config["Entrypoint"], *image.config["Cmd"]]
        super().__init__(*_contained(image, hostname, env, user, command))

    def send(self, number: signal.Signals) -> None:
        os.kill(_only_child(self.child.pid), number)

    def end(self) -> None:
        """Kill the process if it is still running, and close its output."""
        self.child.kill()
        self.child.wait()
        self._output.close()

    async def is_healthy(self) -> bool:
        """Run the image's health check in this container, as Docker and Kubernetes do."""
        children = _children(self.child.pid)
        if not children:
            return False
        uid, gid = self._user.split(":")
        entered = ("--target", children[0], "--mount", "--uts", "--pid", "--root", "--wd")
        command = _with_variables(self._image, self._settings, self._image.health)
        return await _succeeds("nsenter", *entered, "--setgid", gid, "--setuid", uid, *command)


async def is_healthy(image: Image, hostname: str, env: Mapping[str, str]) -> bool:
    """Run the image's health check in a new container."""
    return await _succeeds(*_contained(image, hostname, env, IMAGE_USER, image.health))


async def _succeeds(*command: str) -> bool:
    child = await asyncio.create_subprocess_exec(*command)
    return await child.wait() == 0


def _contained(
    image: Image, hostname: str, env: Mapping[str, str], user: str, command: Sequence[str]
) -> list[str]:
    target = [str(image.root), hostname, image.config["WorkingDir"], user]
    return [str(CONTAIN), *target, *_with_variables(image, env, command)]


def _with_variables(image: Image, env: Mapping[str, str], command: Sequence[str]) -> list[str]:
    variables = [f"{name}={value}" for name, value in {**image.environment, **env}.items()]
    return ["env", "-i", *variables, *command]


def _only_child(pid: int) -> int:
    [child] = _children(pid)
    return int(child)


def _children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
