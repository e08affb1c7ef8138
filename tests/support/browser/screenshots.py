"""`make pictures`: creates the console screenshots in docs/images from a busy deployment.

This takes about five minutes.
"""

import asyncio
import random
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Any

import httpx

from tests.support.browser.page import open_browser
from tests.support.browser.window import Window, open_window
from tests.support.processes import Api, Valkey, Worker, start_all, stop_all
from tests.support.upstream.client import Upstream
from web.page import CONSOLE

IMAGES = Path(__file__).parents[3] / "docs" / "images"
BUSY_SECONDS = 290
MODELS = ("gpt-5-mini", "gpt-5", "llama3.2")
FAILURES: tuple[dict[str, Any], ...] = (
    {"status": 401},
    {"status": 400, "body": {"error": {"code": "context_length_exceeded", "message": "Too long"}}},
    {"status": 404},
)


async def main() -> None:
    CONSOLE.build()
    async with AsyncExitStack() as stack:
        upstream = await stack.enter_async_context(Upstream())
        valkey = Valkey()
        await start_all(valkey)
        stack.push_async_callback(stop_all, valkey)
        env = {"MAMBA_WORKER__CONCURRENCY": "12"}
        api = Api(valkey.url)
        workers = [Worker(valkey.url, upstream.base_url, env) for _ in range(2)]
        for process in (api, *workers):
            process.start()
            stack.push_async_callback(stop_all, process)
            await process.ready()
        for model in MODELS:
            await upstream.script(model, [[{"sleep": 0.3}, {"words": 160, "delay": 0.06}]])
        await upstream.script("gpt-4", [[{"words": 1}]], FAILURES * 3)
        users = [asyncio.create_task(simulate_user(api, number)) for number in range(24)]
        await asyncio.sleep(BUSY_SECONDS)
        await asyncio.to_thread(take_screenshots, api)
        for task in users:
            task.cancel()
        await asyncio.gather(*users, return_exceptions=True)


async def simulate_user(api: Api, number: int) -> None:
    """Send requests in a loop. User 23 uses a model that fails; all others disconnect sometimes."""
    rng = random.Random(number)
    model_fails = number == 23
    async with httpx.AsyncClient(base_url=api.url, timeout=60) as client:
        await asyncio.sleep(number * 4)
        while True:
            model = "gpt-4" if model_fails else rng.choice(MODELS)
            chat = f"{number}-{rng.random()}"
            messages = [{"role": "user", "content": "How does a lease work?"}]
            body = {"id": chat, "model": model, "messages": messages}
            with suppress(TimeoutError):
                async with asyncio.timeout(4 if rng.random() < 0.08 else 60):
                    await client.post("/chat", json=body)
            await client.post(f"/chat/{chat}/stop")
            await asyncio.sleep(25 if model_fails else rng.uniform(0, 6))


def take_screenshots(api: Api) -> None:
    with open_browser() as browser:
        for scheme in ("light", "dark"):
            with open_window(browser, 1440, 1120) as window:
                window.set_color_scheme(scheme)
                window.visit(f"{api.url}/ops")
                window.click(".switch button", "5 min")
                window.wait_until("document.querySelectorAll('.runs tbody tr').length > 5")
                save(window, f"console-{scheme}")


def save(window: Window, name: str) -> None:
    window.evaluate("new Promise(resolve => setTimeout(resolve, 1500))")
    IMAGES.mkdir(exist_ok=True)
    (IMAGES / f"{name}.webp").write_bytes(window.screenshot())


if __name__ == "__main__":
    asyncio.run(main())
