"""A real browser without a window: opens a page, lets its scripts run, and tells what it shows."""

import os
import re
import shutil
import subprocess
import tempfile
from typing import Final

_NAMES: Final = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
_SECONDS = 60


class BrowserMissingError(RuntimeError):
    """The tests of the API's pages need Chromium or Chrome: install it (on Debian: apt-get install
    chromium), or name one with the environment variable MAMBA_CHROMIUM.
    """

    def __str__(self) -> str:
        return " ".join((self.__doc__ or "").split())


def find_browser() -> str:
    named = os.environ.get("MAMBA_CHROMIUM")
    for name in (named,) if named else _NAMES:
        if path := shutil.which(name):
            return path
    raise BrowserMissingError


def shown(url: str) -> str:
    """The page's document, after its scripts had five seconds of the browser's own time."""
    with tempfile.TemporaryDirectory() as profile:
        command = [
            *(find_browser(), "--headless", "--no-sandbox", "--disable-gpu"),
            *("--disable-dev-shm-usage", f"--user-data-dir={profile}"),
            # Every name but this machine's is unknown: what a page loads from elsewhere is missing.
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
            *("--virtual-time-budget=5000", "--dump-dom", url),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=_SECONDS, check=True)
    return done.stdout


def addresses(document: str) -> set[str]:
    """What a document loads: its scripts, style sheets and pictures."""
    loading = r"<(?:script|link|img|iframe)\b[^>]*?\b(?:src|href)=\"([^\"]+)\""
    return set(re.findall(loading, document))
