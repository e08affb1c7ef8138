"""Entry point for `uvicorn mamba.main:app`. The app is built on first access, not on import."""

from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from fastapi import FastAPI


def __getattr__(name: str) -> "FastAPI":
    if name != "app":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return _app()


@cache
def _app() -> "FastAPI":
    from shared.telemetry.metrics_folder import prepare_metrics_folder  # noqa: PLC0415

    prepare_metrics_folder()
    from api.app import create_app  # noqa: PLC0415
    from shared.settings import load_settings  # noqa: PLC0415

    return create_app(load_settings(), load_settings)
