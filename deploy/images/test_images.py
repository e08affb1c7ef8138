"""Builds and runs the images. `make images` runs it; it needs root, buildah and mmdebstrap."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from deploy.images.container import (
    IMAGE_USER,
    OPENSHIFT_USER,
    Container,
    Image,
    is_healthy,
    mounted,
)
from tests.support.processes import Valkey, free_port
from tests.support.wait import until

HERE = Path(__file__).parent
BASE = "localhost/mamba-server/base"
REQUIRED_TOOLS = ("buildah", "mmdebstrap", "nsenter", "unshare")

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="session")
def built(store: None) -> None:  # noqa: ARG001
    missing = [tool for tool in REQUIRED_TOOLS if not shutil.which(tool)]
    if missing:
        pytest.fail(f"missing: {' '.join(missing)} (on Debian: apt install {' '.join(missing)})")
    if os.geteuid():
        pytest.fail("building images needs root: sudo make images")
    subprocess.run([HERE / "base.sh", BASE], check=True)
    subprocess.run([HERE / "build.sh", BASE], check=True)


@pytest.fixture(scope="session")
def api(built: None) -> Generator[Image]:  # noqa: ARG001
    with mounted("localhost/mamba-server/api") as image:
        yield image


@pytest.fixture(scope="session")
def worker(built: None) -> Generator[Image]:  # noqa: ARG001
    with mounted("localhost/mamba-server/worker") as image:
        yield image


def packages(image: Image) -> set[str]:
    found = image.root.glob("opt/mamba/lib/python3*/site-packages/*.dist-info")
    return {path.name.partition("-")[0] for path in found}


def test_image_contains_only_packages_of_its_role(api: Image, worker: Image) -> None:
    assert {"fastapi", "uvicorn", "mamba_server"} <= packages(api)
    assert not {"pydantic_ai_slim", "openai"} & packages(api)
    assert {"pydantic_ai_slim", "openai", "mamba_server"} <= packages(worker)
    assert not {"fastapi", "starlette", "uvicorn"} & packages(worker)
    for image in (api, worker):
        assert not {"pip", "setuptools", "hatchling", "pytest"} & packages(image)


def test_image_runs_its_role_as_unprivileged_user(api: Image, worker: Image) -> None:
    for role, image in (("api", api), ("worker", worker)):
        assert image.config["User"] == "1000:1000"
        assert image.config["Entrypoint"] == ["mamba"]
        assert image.config["Cmd"] == [role]
        assert image.config["Labels"]["org.opencontainers.image.licenses"] == "MIT"
        owners = {path.stat().st_uid for path in (image.root / "opt/mamba").rglob("*")}
        assert owners == {0}, "the process must not be able to modify its code"


def test_build_is_reproducible(api: Image) -> None:
    subprocess.run([HERE / "build.sh", BASE, "--no-cache"], check=True)
    with mounted("localhost/mamba-server/api") as again:
        assert again.layer_ids == api.layer_ids


@pytest.mark.parametrize("user", [IMAGE_USER, OPENSHIFT_USER])
async def test_images_answer_a_chat_and_end_on_sigterm(
    api: Image, worker: Image, valkey: Valkey, user: str
) -> None:
    port = str(free_port())
    redis = {"MAMBA_REDIS__URL": valkey.url}
    server = Container(api, "api-1", {**redis, "MAMBA_SERVER__PORT": port}, user)
    agent_worker = Container(worker, "worker-1", {**redis, "MAMBA_OPENAI__DEMO": "true"}, user)
    server.start()
    agent_worker.start()
    try:
        await asyncio.gather(*(until(c.is_healthy, seconds=60) for c in (server, agent_worker)))
        chat = {"messages": [{"role": "user", "content": "Hello"}]}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            answer = await client.post("/chat", json=chat, timeout=30)
        assert answer.status_code == 200, answer.text
        assert answer.text.endswith("data: [DONE]\n\n")
        for container in (server, agent_worker):
            container.send(signal.SIGTERM)
        assert await server.ended() == 0, server.output
        assert await agent_worker.ended() == 0, agent_worker.output
        assert "worker.drained" in agent_worker.output
    finally:
        for container in (server, agent_worker):
            container.end()


async def test_container_without_its_process_is_unhealthy(
    api: Image, worker: Image, valkey: Valkey
) -> None:
    settings = {"MAMBA_REDIS__URL": valkey.url, "MAMBA_SERVER__PORT": str(free_port())}

    for image in (api, worker):
        assert not await is_healthy(image, "no-process", settings)
