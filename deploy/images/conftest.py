"""Fixtures: one Valkey, and a temporary image store."""

import shutil
import tempfile
from collections.abc import Generator
from pathlib import Path

import pytest

from tests.conftest import valkey

__all__ = ["valkey"]

#: The vfs driver works on any file system.
_STORE = """[storage]
driver = "vfs"
graphroot = "{0}/images"
runroot = "{0}/run"
"""


@pytest.fixture(scope="session")
def store() -> Generator[None]:
    folder = Path(tempfile.mkdtemp(prefix="mamba-images-"))
    settings = folder / "storage.conf"
    settings.write_text(_STORE.format(folder))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CONTAINERS_STORAGE_CONF", str(settings))
        yield
    shutil.rmtree(folder)
