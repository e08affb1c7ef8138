"""Serves the console's page at `/ops` and its assets, as built by `make console`.

They are public and contain no data: the page requests its data with the operator's key. Its URLs
are relative, so it works behind any path prefix.
"""

from pathlib import Path

from fastapi import APIRouter, Request
from starlette.responses import RedirectResponse, Response

from api.pages.built_page import BuiltPage, inline_page

PATH = "/ops"
BUILD_DIR = Path(__file__).parent / "built"

router = APIRouter(include_in_schema=False)

_NOT_BUILT_PAGE = """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Mamba console</title>
<h1>The console is not built</h1>
<p>This server was installed without the console. In a clone of the repository, run
<code>make console</code> (it uses npm from the development dependencies) and reload this page.
Container images and wheels built after that contain the console.</p>
<p>The same information is available from <code>mamba queue --watch</code>,
<code>mamba worker list</code>, <code>mamba run show</code>, <code>mamba doctor</code> and
<code>/metrics</code>.</p>
"""


@router.get(PATH)
async def page(request: Request) -> Response:
    """Serve the page, or build instructions if it does not exist."""
    return _page().document(request) or inline_page(_NOT_BUILT_PAGE, status=404)


@router.get(f"{PATH}/")
async def redirect_trailing_slash() -> Response:
    """Redirect: the page's relative URLs do not work with a trailing slash."""
    return RedirectResponse("../ops", 308)


@router.get(f"{PATH}/assets/{{name}}")
async def asset(request: Request, name: str) -> Response:
    return _page().asset(request, name)


def _page() -> BuiltPage:
    return BuiltPage(BUILD_DIR)
