from typing import Annotated, Literal, TypeAlias

from pydantic import Field

from worker.tools.arguments import Arguments, LinkUrl, WebUrl


class Card(Arguments):
    title: str
    subtitle: str | None = None
    media: "Media | None" = None
    body: str | None = None
    """Markdown."""
    badges: "list[Badge] | None" = None
    facts: "list[Fact] | None" = None
    actions: "list[Action] | None" = None
    layout: Literal["vertical", "horizontal"] = "vertical"
    """Where the media stands: above the text, or beside it."""


class Media(Arguments):
    """An image."""

    url: WebUrl
    alt: str
    """What the image shows."""


class Badge(Arguments):
    label: str
    tone: Literal["neutral", "info", "success", "warning", "danger"] = "neutral"


class Fact(Arguments):
    label: str
    value: str


class _Action(Arguments):
    label: str
    style: Literal["primary", "secondary"] = "secondary"


class LinkAction(_Action):
    """Opens a page or a mail."""

    type: Literal["link"]
    url: LinkUrl


class ReplyAction(_Action):
    """Sends the text as the user's next message."""

    type: Literal["reply"]
    text: str


class SubmitAction(_Action):
    """Hands a named action to the application."""

    type: Literal["submit"]
    name: str
    values: dict[str, str] | None = None


Action: TypeAlias = Annotated[LinkAction | ReplyAction | SubmitAction, Field(discriminator="type")]
