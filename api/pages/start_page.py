"""Serves `/`: the playground if it is enabled and built, otherwise a page with links.

The page is public and contains no data. Its URLs are relative, so it works behind any path prefix.
"""

from pathlib import Path

from fastapi import APIRouter, Depends, Request
from pydantic import BaseModel, ConfigDict
from pydantic.alias_generators import to_camel
from starlette.responses import Response

from api.pages.built_page import BuiltPage, inline_page
from api.process import CurrentProcess
from shared.errors import NotFound
from shared.version import installed_version

BUILD_DIR = Path(__file__).parent / "built"

_STYLE = """
body { max-width: 36rem; margin: 12vh auto; padding: 0 1.5rem; font: 16px/1.5 system-ui }
li { margin: 0.4rem 0 }
"""
_LINKS_PAGE = f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Mamba Server</title>
<style>{_STYLE}</style>
<h1>Mamba Server</h1>
<p>A backend for AI chat whose answers survive dropped connections, page reloads, and killed
workers.</p>
<ul>
<li><a href="docs">API documentation</a></li>
<li><a href="ops">Operator console</a></li>
<li><a href="health">Health</a></li>
</ul>
%s
</html>
"""
_DISABLED = ""
_NOT_BUILT = """<p>The playground is enabled but not built. In a clone of the repository, run
<code>make playground</code> (it uses npm from the development dependencies) and reload this
page.</p>"""


async def _require_playground(process: CurrentProcess) -> None:
    if not process.settings.playground.enabled:
        raise NotFound("The playground is disabled. Set playground.enabled to true.")


router = APIRouter(include_in_schema=False)
_PLAYGROUND = [Depends(_require_playground)]


class PlaygroundInfo(BaseModel):
    """What the server offers to the playground."""

    model_config = ConfigDict(
        alias_generator=to_camel, validate_by_name=True, serialize_by_alias=True
    )

    version: str
    #: Whether the demo model answers.
    demo: bool
    #: Whether the playground can end processes: `mamba dev` started this one.
    can_break: bool


@router.get("/")
async def start_page(request: Request, process: CurrentProcess) -> Response:
    if not process.settings.playground.enabled:
        return inline_page(_LINKS_PAGE % _DISABLED, style=_STYLE)
    page = BuiltPage(BUILD_DIR, images="'self' data: blob:").document(request)
    return page or inline_page(_LINKS_PAGE % _NOT_BUILT, style=_STYLE)


@router.get("/playground/assets/{name}", dependencies=_PLAYGROUND)
async def asset(request: Request, name: str) -> Response:
    return BuiltPage(BUILD_DIR).asset(request, name)


@router.get("/playground/info", dependencies=_PLAYGROUND)
async def info(request: Request, process: CurrentProcess) -> PlaygroundInfo:
    return PlaygroundInfo(
        version=installed_version(),
        demo=process.settings.openai.demo,
        can_break=getattr(request.app.state, "can_break", False),
    )
