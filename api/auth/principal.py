"""Principals and scopes. Chats and runs are visible only to their owner."""

from typing import Annotated, NamedTuple, cast
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.params import Depends as Dependency

from shared.errors import Forbidden

#: The scope for operating the server.
OPERATOR = "operator"


class Principal(NamedTuple):
    #: The owner of the principal's chats and runs, in the format of `owner_id`.
    owner: str
    scopes: frozenset[str] = frozenset()
    #: Selects the weight of the owner's runs in the queue.
    plan: str | None = None


def owner_id(mode: str, owner: str, tenant: str | None = None) -> str:
    """Return `mode:tenant:owner`, percent-encoded so that ids are unambiguous.

    Raises:
        UnicodeEncodeError: if a part contains a lone surrogate.
    """
    return ":".join((mode, quote(tenant or "", safe=""), quote(owner, safe="")))


def principal_of(request: Request) -> Principal:
    return cast("Principal", request.scope["state"]["principal"])


async def _caller(request: Request) -> Principal:
    return principal_of(request)


Caller = Annotated[Principal, Depends(_caller)]


class MissingScope(Forbidden):
    def __init__(self, scope: str) -> None:
        super().__init__(f"The key or token lacks the scope {scope!r}.")
        self.scope = scope


def require_scope(scope: str) -> Dependency:
    """Return a route dependency that raises `MissingScope` for principals without the scope."""

    async def check(caller: Caller) -> None:
        if scope not in caller.scopes:
            raise MissingScope(scope)

    return Depends(check)
