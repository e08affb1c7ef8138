"""aimock and LiteLLM's proxy as processes, and the versions that are tested."""

import asyncio
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Self

import httpx

from tests.support.processes import ServerProcess, free_port
from tests.support.wait import until
from web.node import find_node

FOLDER = Path(__file__).parent
_LITELLM_VENV = FOLDER / ".venv"


class ModelServer(ServerProcess):
    """A server with OpenAI's API on a free port."""

    def __init__(self, *command: object, env: dict[str, str] | None = None) -> None:
        super().__init__(*(str(word) for word in command), env=env)

    async def ready(self) -> Self:
        async with httpx.AsyncClient(trust_env=False) as client:

            async def probe() -> bool:
                assert self.child.poll() is None, self.output
                try:
                    return (await client.get(self.health_url)).is_success
                except httpx.TransportError:
                    return False

            await until(probe, seconds=400)
        return self

    @property
    def health_url(self) -> str:
        raise NotImplementedError


class AiMock(ModelServer):
    """aimock, which serves the protocols of OpenAI, Anthropic and Gemini."""

    def __init__(self) -> None:
        node = find_node()
        node.install(FOLDER)
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self.openai_url = f"{self.url}/v1"
        self.gemini_url = f"{self.url}/v1beta"
        llmock = FOLDER / "node_modules" / "@copilotkit" / "aimock" / "dist" / "cli.js"
        super().__init__(
            node.path, llmock, "--port", port, "--fixtures", FOLDER / "aimock.json", "--strict"
        )

    @property
    def health_url(self) -> str:
        return f"{self.openai_url}/models"


class LiteLlm(ModelServer):
    """LiteLLM's proxy, with its models `gpt`, `claude` and `gemini` served by aimock."""

    def __init__(self, aimock: AiMock) -> None:
        port = free_port()
        self.origin = f"http://127.0.0.1:{port}"
        self.openai_url = f"{self.origin}/v1"
        self.key = f"sk-{secrets.token_hex(24)}"
        command = ("--config", FOLDER / "litellm.yaml", "--host", "127.0.0.1", "--port", port)
        super().__init__(
            _LITELLM_VENV / "bin" / "litellm",
            *command,
            env={
                "LITELLM_MASTER_KEY": self.key,
                "LITELLM_LOCAL_MODEL_COST_MAP": "True",
                "AIMOCK_URL": aimock.url,
                "AIMOCK_OPENAI_URL": aimock.openai_url,
                "AIMOCK_GEMINI_URL": aimock.gemini_url,
            },
        )

    @property
    def health_url(self) -> str:
        return f"{self.origin}/health/liveliness"

    @classmethod
    async def install(cls) -> None:
        """Create LiteLLM's own virtual environment, unless it is up to date."""
        await asyncio.to_thread(_install_litellm)


def _install_litellm() -> None:
    lock = FOLDER / "requirements.lock"
    installed = _LITELLM_VENV / ".installed"
    if installed.exists() and installed.stat().st_mtime >= lock.stat().st_mtime:
        return
    subprocess.run([sys.executable, "-m", "venv", "--clear", _LITELLM_VENV], check=True)
    uv = shutil.which("uv") or str(Path(sys.executable).parent / "uv")
    python = _LITELLM_VENV / "bin" / "python"
    options = ("--quiet", "--compile-bytecode", "--require-hashes")
    subprocess.run([uv, "pip", "install", *options, "--python", python, "-r", lock], check=True)
    installed.touch()
