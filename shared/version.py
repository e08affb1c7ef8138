"""The version of this installation."""

from importlib.metadata import version


def installed_version() -> str:
    """Return the version of the installed `mamba-server` package."""
    return version("mamba-server")
