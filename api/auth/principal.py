"""Who asks. Every chat and run belongs to a principal; for all others it does not exist."""

from typing import Annotated, NamedTuple, cast
from urllib.parse import quote

from fastapi import Depends, Request
from fastapi.params import Depends as Dependency

from shared.errors import Forbidden

#: Lets its bearer look after the server, and not only its own chats.
OPERATOR = "operator"


class Principal(NamedTuple):
    #: Whose chats these are, as `owner_id` writes it.
    owner: str
    #: What it may do beside its own chats.
    scopes: frozenset[str] = frozenset()


def owner_id(mode: str, owner: str, tenant: str | None = None) -> str:
    """`mode:tenant:owner`, percent-encoded, so that no two of them ever read the same.

    Raises:
        UnicodeEncodeError: if a part is no text that can be written down.
    """
    return ":".join((mode, quote(tenant or "", safe=""), quote(owner, safe="")))


def _principal_of(request: Request) -> Principal:
    return cast("Principal", request.scope["state"]["principal"])


Caller = Annotated[Principal, Depends(_principal_of)]


class MissingScope(Forbidden):
    def __init__(self, scope: str) -> None:
        super().__init__(f"The key or token needs the scope {scope!r}.")
        self.scope = scope


def require_scope(scope: str) -> Dependency:
    """A dependency of routes that not every principal may use; `MissingScope` for the others."""

    def check(caller: Caller) -> None:
        if scope not in caller.scopes:
            raise MissingScope(scope)

    return Depends(check)
