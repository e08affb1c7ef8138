"""The web tools: search with the configured provider, and read pages.

They wrap pydantic-ai's tools, which resolve each host, also after redirects, and reject private
addresses. These wrappers add each page that was read to the sources of the answer.
"""

import asyncio
import re
from collections.abc import Awaitable, Callable
from typing import Any, cast

import httpx
from ddgs.exceptions import DDGSException
from pydantic_ai import ModelRetry, Tool, ToolReturn
from pydantic_ai.common_tools import duckduckgo
from pydantic_ai.common_tools.tavily import tavily_search_tool
from pydantic_ai.common_tools.web_fetch import web_fetch_tool
from tavily import AsyncTavilyClient
from tavily.errors import (
    BadRequestError,
    ForbiddenError,
    InvalidAPIKeyError,
    UsageLimitExceededError,
)
from tavily.errors import TimeoutError as TavilyTimeoutError
from typing_extensions import TypedDict

from shared.settings import ResearchSettings
from shared.streams.events import SourceUrl

_MAX_RESULTS = 6
_PAGE_CHARS = 20_000
_EXCERPT_CHARS = 2000
_ADDRESS = re.compile(r" \([0-9a-fA-F.:]+\)")
_TITLE_CHARS = 300
_URL_CHARS = 2000
_PAGE_BYTES = 5 * 1024 * 1024
#: Tavily's client raises httpx errors, ddgs `DDGSException`. The errors of Python mean that the
#: response has an unexpected format.
_SEARCH_FAILURES = (
    httpx.HTTPError,
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    DDGSException,
    OSError,
    BadRequestError,
    ForbiddenError,
    InvalidAPIKeyError,
    UsageLimitExceededError,
    TavilyTimeoutError,
)


class FoundPage(TypedDict):
    url: str
    title: str
    excerpt: str


class ReadPage(TypedDict):
    url: str
    title: str
    #: Markdown.
    content: str


def web_tools(settings: ResearchSettings) -> list[Tool]:
    """Create the web tools that the settings turn on."""
    tools: list[Tool] = []
    if settings.web_search != "none":
        tools.append(_search_tool(settings))
    if settings.fetch_pages:
        tools.append(_fetch_tool(settings))
    return tools


def _search_tool(settings: ResearchSettings) -> Tool:
    search = _provider(settings)

    async def search_web(query: str) -> ToolReturn[list[FoundPage]]:
        """Search the web. Returns excerpts of pages, best match first."""
        try:
            found = await search(query)
            pages = [_search_result(result) for result in found[:_MAX_RESULTS]]
        except _SEARCH_FAILURES as error:
            # Their messages may contain the key or the URL.
            raise ModelRetry(f"The search failed ({type(error).__name__}).") from error
        results = [page for page in pages if page["url"]]
        sources = [] if settings.fetch_pages else [_source(p["url"], p["title"]) for p in results]
        return ToolReturn(results, metadata=sources)

    return Tool(search_web)


def _provider(settings: ResearchSettings) -> Callable[[str], Awaitable[list[dict[str, Any]]]]:
    if settings.web_search == "duckduckgo":
        return cast("Any", duckduckgo).duckduckgo_search_tool(max_results=_MAX_RESULTS).function
    key = settings.tavily_api_key.get_secret_value() if settings.tavily_api_key else ""
    client = AsyncTavilyClient(key, api_base_url=settings.tavily_base_url)
    return cast("Any", tavily_search_tool(client=client, max_results=_MAX_RESULTS).function)


def _search_result(result: object) -> FoundPage:
    """Parse a result. Tavily and DuckDuckGo use different field names.

    Raises:
        TypeError: if it is not a result.
    """
    if not isinstance(result, dict):
        raise TypeError(type(result).__name__)
    fields = cast("dict[str, object]", result)
    return FoundPage(
        url=_text(fields.get("url") or fields.get("href"), _URL_CHARS),
        title=_text(fields.get("title"), _TITLE_CHARS),
        excerpt=_text(fields.get("content") or fields.get("body"), _EXCERPT_CHARS),
    )


def _text(value: object, max_chars: int) -> str:
    text = value if isinstance(value, str) else ""
    return text if len(text) <= max_chars else f"{text[:max_chars]} …"


def _fetch_tool(settings: ResearchSettings) -> Tool:
    fetch = cast("Any", _page_reader(settings).function)

    async def fetch_page(url: str) -> ToolReturn[ReadPage]:
        """Read a web page as Markdown. It is shown to the user as a source."""
        try:
            async with asyncio.timeout(settings.fetch_timeout_seconds):
                page = await fetch(url)
        except TimeoutError:
            seconds = settings.fetch_timeout_seconds
            raise ModelRetry(f"The page took longer than {seconds:g} seconds.") from None
        except ModelRetry as error:  # its message reveals what internal names resolve to
            raise ModelRetry(_ADDRESS.sub("", str(error))) from None
        except (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError) as error:
            # The parsers of pages fail in many ways.
            raise ModelRetry(f"The page cannot be read ({type(error).__name__}).") from error
        if not isinstance(page, dict):
            raise ModelRetry("The URL is not a text page.")
        fetched = cast("ReadPage", page)
        fetched = ReadPage(
            url=fetched["url"],
            title=_text(fetched["title"], _TITLE_CHARS),
            content=_text(fetched["content"], _PAGE_CHARS + 100),
        )
        return ToolReturn(fetched, metadata=[_source(url, fetched["title"])])

    return Tool(fetch_page)


def _page_reader(settings: ResearchSettings) -> Tool:
    return web_fetch_tool(
        max_content_length=_PAGE_CHARS,
        allow_local_urls=settings.private_addresses,
        timeout=round(settings.fetch_timeout_seconds),
        max_download_bytes=_PAGE_BYTES,
        allowed_domains=list(settings.allowed_domains) or None,
        blocked_domains=list(settings.blocked_domains) or None,
    )


def _source(url: str, title: str) -> SourceUrl:
    return SourceUrl(source_id=url, url=url, title=title or None)
