"""Accepts requests from pages of this server only."""

from typing import Annotated

from fastapi import Depends, Header, params

from api.auth.auth_errors import UntrustedOrigin


def own_page_only(path: str) -> params.Depends:
    """Return a dependency that rejects requests from pages of other origins.

    The error message names the page at `path`. Browsers set the header, and pages cannot forge it.
    Clients other than browsers do not send it.
    """

    async def check(sec_fetch_site: Annotated[str | None, Header()] = None) -> None:
        if sec_fetch_site not in (None, "same-origin", "none"):
            raise UntrustedOrigin(
                "foreign_page", f"This endpoint accepts requests from one page only. Open {path}."
            )

    return Depends(check)
