"""Who asks. Every chat and run belongs to a principal; for all others it does not exist."""

from typing import Annotated, NamedTuple

from fastapi import Depends


class Principal(NamedTuple):
    #: Whose chats these are; unique over tenants and issuers.
    owner: str
    #: What it may do beside its own chats.
    scopes: frozenset[str] = frozenset()


def anonymous() -> Principal:
    """Mode `none`: everybody is one and the same."""
    return Principal("anonymous")


Caller = Annotated[Principal, Depends(anonymous)]
