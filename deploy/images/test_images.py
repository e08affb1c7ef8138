"""The images, built and run. `make images` does it; root, buildah and mmdebstrap are needed."""

import asyncio
import os
import shutil
import signal
import subprocess
from collections.abc import Generator
from pathlib import Path

import httpx
import pytest

from deploy.images.container import Container, Image, is_healthy, mounted
from tests.support.processes import Valkey, free_port
from tests.support.wait import until

HERE = Path(__file__).parent
BASE = "localhost/mamba-server/base"
NEEDED = ("buildah", "mmdebstrap", "unshare")

pytestmark = pytest.mark.timeout(900)


@pytest.fixture(scope="session")
def built(store: None) -> None:  # noqa: ARG001
    missing = [tool for tool in NEEDED if not shutil.which(tool)]
    if missing:
        pytest.fail(f"missing: {' '.join(missing)} (on Debian: apt install {' '.join(missing)})")
    if os.geteuid():
        pytest.fail("images are built and run by root here: sudo make images")
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


def test_each_image_has_only_what_its_role_needs(api: Image, worker: Image) -> None:
    assert {"fastapi", "uvicorn", "mamba_server"} <= packages(api)
    assert not {"pydantic_ai_slim", "openai"} & packages(api)
    assert {"pydantic_ai_slim", "openai", "mamba_server"} <= packages(worker)
    assert not {"fastapi", "starlette", "uvicorn"} & packages(worker)
    for image in (api, worker):
        assert not {"pip", "setuptools", "hatchling", "pytest"} & packages(image)


def test_each_image_runs_its_role_as_mamba_and_nobody_else(api: Image, worker: Image) -> None:
    for role, image in (("api", api), ("worker", worker)):
        assert image.config["User"] == "1000:1000"
        assert image.config["Entrypoint"] == ["mamba"]
        assert image.config["Cmd"] == [role]
        assert image.config["Labels"]["org.opencontainers.image.licenses"] == "MIT"
        owners = {path.stat().st_uid for path in (image.root / "opt/mamba").rglob("*")}
        assert owners == {0}, "what it runs it cannot change"


def test_a_second_build_is_the_same_to_the_byte(api: Image) -> None:
    subprocess.run([HERE / "build.sh", BASE, "--no-cache"], check=True)
    with mounted("localhost/mamba-server/api") as again:
        assert again.layer_ids == api.layer_ids


async def test_the_images_answer_a_chat_and_leave_when_they_are_told(
    api: Image, worker: Image, valkey: Valkey
) -> None:
    port = str(free_port())
    redis = {"MAMBA_REDIS__URL": valkey.url}
    server = Container(api, "api-1", {**redis, "MAMBA_SERVER__PORT": port})
    answerer = Container(worker, "worker-1", {**redis, "MAMBA_OPENAI__DEMO": "true"})
    server.start()
    answerer.start()
    try:
        await asyncio.gather(*(until(c.is_healthy, seconds=60) for c in (server, answerer)))
        chat = {"messages": [{"role": "user", "content": "Hello"}]}
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
            answer = await client.post("/chat", json=chat, timeout=30)
        assert answer.status_code == 200, answer.text
        assert answer.text.endswith("data: [DONE]\n\n")
        for container in (server, answerer):
            container.send(signal.SIGTERM)
        assert await server.ended() == 0, server.output
        assert await answerer.ended() == 0, answerer.output
        assert "worker.drained" in answerer.output
    finally:
        for container in (server, answerer):
            container.end()


async def test_a_container_without_its_process_is_not_well(
    api: Image, worker: Image, valkey: Valkey
) -> None:
    settings = {"MAMBA_REDIS__URL": valkey.url, "MAMBA_SERVER__PORT": str(free_port())}

    for image in (api, worker):
        assert not await is_healthy(image, "nobody", settings)
