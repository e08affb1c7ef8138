"""`/docs` and `/redoc`: the API's document as pages, whose scripts this server serves itself.

No page loads anything from elsewhere: a server without a way to the internet has them too, and the
browser is told so.
"""

from importlib.metadata import version
from importlib.resources import files
from pathlib import Path

from fastapi import FastAPI, Request
from fastapi.openapi.docs import get_redoc_html, get_swagger_ui_html
from starlette.responses import FileResponse, HTMLResponse

from shared.errors import NotFound

#: Carries the files of Swagger UI and Redoc.
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
#: Their addresses name the version that they are of.
_FILE_HEADERS = {"cache-control": "public, max-age=31536000, immutable"}


def install(app: FastAPI) -> None:
    """Add the pages to an application that was made without FastAPI's own."""
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
    name, asked = request.path_params["name"], request.path_params["version"]
    if name not in _FILES or asked != version(_PACKAGE):
        raise NotFound("There is no such file.")
    path = Path(str(files("fastapi_offline"))) / "static" / name
    return FileResponse(path, headers=_FILE_HEADERS)


def _page(page: HTMLResponse) -> HTMLResponse:
    page.headers.update(_PAGE_HEADERS)
    return page


def _file(request: Request, name: str) -> str:
    return _url(request, f"{_STATIC}/{version(_PACKAGE)}/{name}")


def _url(request: Request, path: str) -> str:
    """The path as the browser asks for it, behind a proxy that takes a prefix away."""
    return f"{request.scope.get('root_path', '').rstrip('/')}{path}"
