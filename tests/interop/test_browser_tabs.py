"""Many browser tabs that stream at the same time, over HTTP/2."""

import asyncio
import json
import secrets
from contextlib import ExitStack

import pytest

from tests.interop.conftest import InteropSystem
from tests.interop.reverse_proxies import ReverseProxy
from tests.support.browser.page import Browser, open_browser
from tests.support.browser.window import Window

pytestmark = pytest.mark.asyncio(loop_scope="session")

TABS = 8
PAUSED = [[{"text": ["Hel"]}, {"wait": True}, {"text": ["lo"]}]]
#: Sends a message, and resolves when the answer has begun. The answer continues.
ASK = """
fetch('chat', {{
  method: 'POST',
  headers: {{ 'content-type': 'application/json' }},
  body: JSON.stringify({{
    id: {chat}, model: {model}, messages: [{{ role: 'user', content: 'Hi' }}],
  }}),
}}).then(async ({{ body }}) => {{
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let text = '';
  while (!text.includes('text-delta')) text += (await reader.read()).value;
  return text;
}})
"""
#: Follows the chat, and resolves with its first event.
FOLLOW = """
new Promise((resolve, reject) => {{
  window.source = new EventSource({events});
  source.onmessage = ({{ data }}) => resolve(JSON.parse(data).type);
  source.onerror = reject;
}})
"""
STOP = "fetch('chat/{chat}/stop', {{ method: 'POST' }}).then(response => response.status)"
PROTOCOL = "performance.getEntriesByType('navigation')[0].nextHopProtocol"


async def test_stop_works_while_many_tabs_stream_and_follow(
    proxy: ReverseProxy, system: InteropSystem
) -> None:
    model = secrets.token_hex(8)
    await system.upstream.script(model, PAUSED)

    statuses = await asyncio.to_thread(_stream_in_tabs_and_stop, proxy, model)

    assert statuses == [200] * TABS


def _stream_in_tabs_and_stop(proxy: ReverseProxy, model: str) -> list[int]:
    with open_browser("--ignore-certificate-errors") as browser, ExitStack() as stack:
        tabs = [_open_tab(browser, proxy, stack) for _ in range(TABS)]
        for number, tab in enumerate(tabs):
            chat = json.dumps(f"{model}-{number}")
            assert "Hel" in tab.evaluate(ASK.format(chat=chat, model=json.dumps(model)))
            assert (
                tab.evaluate(FOLLOW.format(events=json.dumps(f"chat/{model}-{number}/events")))
                == "run-started"
            )
        controls = _open_tab(browser, proxy, stack)
        return [controls.evaluate(STOP.format(chat=f"{model}-{n}")) for n in range(TABS)]


def _open_tab(browser: Browser, proxy: ReverseProxy, stack: ExitStack) -> Window:
    tab = Window(browser)
    stack.callback(tab.close)
    tab.visit(f"{proxy.url}/mamba/models")
    tab.wait_for_text('"models"')
    assert tab.evaluate(PROTOCOL) == "h2"
    return tab
