from collections.abc import Generator

import pytest

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
