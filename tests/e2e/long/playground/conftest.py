from collections.abc import Generator

import pytest

from tests.support.browser.page import Browser
from tests.support.browser.playground_window import PlaygroundWindow, open_playground
from tests.support.system.dev import Dev, dev, until
from web.page import PLAYGROUND


@pytest.fixture(scope="package")
def running(tmp_path_factory: pytest.TempPathFactory) -> Generator[Dev]:
    PLAYGROUND.build()
    with dev(tmp_path_factory.mktemp("playground")) as running:
        until(running.is_ready)
        yield running
        running.press_ctrl_c()
        until(lambda: running.process.poll() is not None)


@pytest.fixture
def url(running: Dev) -> str:
    return f"http://127.0.0.1:{running.port}"


@pytest.fixture
def chat(request: pytest.FixtureRequest) -> str:
    return request.node.name


@pytest.fixture
def page(browser: Browser, url: str, chat: str) -> Generator[PlaygroundWindow]:
    with open_playground(browser, url, chat) as page:
        yield page
