"""Serves `/docs` (Swagger UI) and `/redoc` with their scripts.

The pages load nothing from other hosts, so they work offline. Their content security policy
enforces that. Their URLs are relative, so they work behind any path prefix.
"""

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse, RedirectResponse

from shared.errors import NotFound

#: Contains the files of Swagger UI and Redoc.
_PACKAGE = "fastapi-offline"
_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js", "favicon.png")
#: Relative to the pages.
_DOCUMENT, _STATIC = "openapi.json", "docs/static"
_PAGE_HEADERS = {
    "cache-control": "no-cache",
    "content-security-policy": (
        "default-src 'self'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline';"
        " img-src 'self' data:; worker-src blob:; frame-ancestors 'none'"
    ),
}
#: The URLs contain the version of the files.
_FILE_HEADERS = {"cache-control": "public, max-age=31536000, immutable"}


def install(app: FastAPI) -> None:
    """Add the pages to an application that was created without FastAPI's own pages."""
    title = app.title

    async def docs(_: Request) -> HTMLResponse:
        return _page(
            get_swagger_ui_html(
                openapi_url=_DOCUMENT,
                title=title,
                swagger_js_url=_file("swagger-ui-bundle.js"),
                swagger_css_url=_file("swagger-ui.css"),
                swagger_favicon_url=_file("favicon.png"),
            )
        )

    async def redoc(_: Request) -> HTMLResponse:
        return _page(
            get_redoc_html(
                openapi_url=_DOCUMENT,
                title=title,
                redoc_js_url=_file("redoc.standalone.js"),
                redoc_favicon_url=_file("favicon.png"),
                with_google_fonts=False,
            )
        )

    for path, page in (("/docs", docs), ("/redoc", redoc)):
        app.add_route(path, page, include_in_schema=False)
        app.add_route(f"{path}/", _redirect_trailing_slash, include_in_schema=False)
    app.add_route(f"/{_STATIC}/{{version}}/{{name}}", _serve_file, include_in_schema=False)


async def _redirect_trailing_slash(request: Request) -> RedirectResponse:
    """Redirect: the page's relative URLs do not work with a trailing slash."""
    name = request.url.path.rstrip("/").rpartition("/")[2]
    return RedirectResponse(f"../{name}", 308)


async def _serve_file(request: Request) -> FileResponse:
    name, requested = request.path_params["name"], request.path_params["version"]
    if name not in _FILES or requested != version(_PACKAGE):
        raise NotFound(f"There is no file {name!r}.")
    path = Path(str(files("fastapi_offline"))) / "static" / name
    return FileResponse(path, headers=_FILE_HEADERS)


def _page(page: HTMLResponse) -> HTMLResponse:
    page.headers.update(_PAGE_HEADERS)
    return page


def _file(name: str) -> str:
    return f"{_STATIC}/{version(_PACKAGE)}/{name}"
