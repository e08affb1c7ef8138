"""Serves `/docs` (Swagger UI) and `/redoc` with their scripts.

The pages load nothing from other hosts, so they work offline. Their content security policy
enforces that.
"""

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse

from shared.errors import NotFound

#: Contains the files of Swagger UI and Redoc.
_PACKAGE = "fastapi-offline"
_FILES = ("swagger-ui-bundle.js", "swagger-ui.css", "redoc.standalone.js", "favicon.png")
_STATIC = "/docs/static"
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

    async def docs(request: Request) -> HTMLResponse:
        return _page(
            get_swagger_ui_html(
                openapi_url=_url(request, "/openapi.json"),
                title=title,
                swagger_js_url=_file(request, "swagger-ui-bundle.js"),
                swagger_css_url=_file(request, "swagger-ui.css"),
                swagger_favicon_url=_file(request, "favicon.png"),
            )
        )

    async def redoc(request: Request) -> HTMLResponse:
        return _page(
            get_redoc_html(
                openapi_url=_url(request, "/openapi.json"),
                title=title,
                redoc_js_url=_file(request, "redoc.standalone.js"),
                redoc_favicon_url=_file(request, "favicon.png"),
                with_google_fonts=False,
            )
        )

    app.add_route("/docs", docs, include_in_schema=False)
    app.add_route("/redoc", redoc, include_in_schema=False)
    app.add_route(f"{_STATIC}/{{version}}/{{name}}", _serve_file, include_in_schema=False)


async def _serve_file(request: Request) -> FileResponse:
    name, requested = request.path_params["name"], request.path_params["version"]
    if name not in _FILES or requested != version(_PACKAGE):
        raise NotFound(f"There is no file {name!r}.")
    path = Path(str(files("fastapi_offline"))) / "static" / name
    return FileResponse(path, headers=_FILE_HEADERS)


def _page(page: HTMLResponse) -> HTMLResponse:
    page.headers.update(_PAGE_HEADERS)
    return page


def _file(request: Request, name: str) -> str:
    return _url(request, f"{_STATIC}/{version(_PACKAGE)}/{name}")


def _url(request: Request, path: str) -> str:
    """Return the path as the browser sees it, with the prefix that a proxy strips."""
    return f"{request.scope.get('root_path', '').rstrip('/')}{path}"
