"""Separates a test session from the machine it runs on.

Tests and the processes that they start use no settings of the developer: no variables, no
`~/mamba.env`, no `config.local.yaml`, no proxy, no language or time zone, and no agents of
installed packages.
"""

import os
import runpy
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

ROOT = Path(__file__).parents[3]
_SITE = Path(__file__).with_name("site")

#: Variables that tests need: to find programs, to download them, and to configure the session.
_KEPT = frozenset(
    {
        *("CI", "DISPLAY", "LD_LIBRARY_PATH", "LOGNAME", "PATH", "SHELL", "SYSTEMROOT", "TMPDIR"),
        *("USER", "VIRTUAL_ENV", "CURL_CA_BUNDLE", "REQUESTS_CA_BUNDLE", "CHATS", "SEED"),
        *("PYTHONDONTWRITEBYTECODE", "PYTHONHASHSEED", "PYTHONPATH", "PYTHONPYCACHEPREFIX"),
        *(f"MAMBA_{name}" for name in ("CHROMIUM", "HELM", "NODE", "PROMETHEUS", "TEST_STORE")),
    }
)
_KEPT_PREFIXES = (
    *("COV_", "COVERAGE_", "GITHUB_", "HYPOTHESIS_", "NIX_", "NODE_", "NPM_", "npm_"),
    *("PIP_", "PYTEST_", "RUNNER_", "SSL_", "UV_"),
)
# prometheus_client reads it for each metric, and imports of `tests/conftest.py` create metrics.
os.environ.pop("PROMETHEUS_MULTIPROC_DIR", None)

_PROXIES = {"http_proxy": "npm_config_proxy", "https_proxy": "npm_config_https_proxy"}


class Isolation:
    """Isolates this process, and those that it starts, until `end` is called."""

    def __init__(self) -> None:
        self._variables = dict(os.environ)
        self._folder = Path.cwd()
        self._temporary: Path | None = None

    def start(self) -> None:
        self._temporary = Path(tempfile.mkdtemp(prefix="mamba-tests-"))
        home, work = self._temporary / "home", self._temporary / "work"
        home.mkdir()
        (work / "config").mkdir(parents=True)
        shutil.copy(ROOT / "config" / "config.yaml", work / "config")
        os.environ.clear()
        os.environ.update(isolated_variables(self._variables, home))
        os.chdir(work)
        time.tzset()
        runpy.run_path(str(_SITE / "sitecustomize.py"))

    def end(self) -> None:
        if self._temporary is None:
            return
        os.chdir(self._folder)
        os.environ.clear()
        os.environ.update(self._variables)
        shutil.rmtree(self._temporary, ignore_errors=True)


def isolated_variables(variables: Mapping[str, str], home: Path) -> dict[str, str]:
    """Return the variables of an isolated process with this home directory."""
    kept = {
        name: value
        for name, value in variables.items()
        if name in _KEPT or name.startswith(_KEPT_PREFIXES)
    }
    paths = [str(_SITE), str(ROOT), *kept.get("PYTHONPATH", "").split(os.pathsep)]
    absolute = [os.path.abspath(path) for path in paths if path]  # noqa: PTH100
    return {
        **kept,
        **_npm_variables(variables),
        "HOME": str(home),
        "LC_ALL": "C.UTF-8",
        "PYTHONPATH": os.pathsep.join(dict.fromkeys(absolute)),
        "TZ": "UTC",
    }


def _npm_variables(variables: Mapping[str, str]) -> dict[str, str]:
    """Let npm download through the developer's proxy, from their registry, into their cache."""
    home = Path(variables.get("HOME") or Path.home())
    options = {
        "npm_config_userconfig": str(home / ".npmrc"),
        "npm_config_cache": str(home / ".npm"),
    }
    for name, option in _PROXIES.items():
        if proxy := variables.get(name) or variables.get(name.upper()):
            options[option] = proxy
    return {name: value for name, value in options.items() if name not in variables}


def proxy_variables() -> dict[str, str]:
    """Return the variables for a program that downloads through the developer's proxy."""
    return {name: os.environ[option] for name, option in _PROXIES.items() if option in os.environ}
