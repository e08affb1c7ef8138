from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, model_validator

from shared.agents.display.arguments import Arguments, LinkUrl, WebUrl


class Card(Arguments):
    title: str
    subtitle: str | None = None
    media: "Media | None" = None
    body: str | None = None
    """Markdown."""
    badges: "list[Badge] | None" = None
    facts: "list[Fact] | None" = None
    actions: "list[Action] | None" = Field(default=None, max_length=6)
    """Buttons below the text; at most one is primary."""
    layout: Literal["vertical", "horizontal"] = "vertical"
    """Position of the media: above the text (vertical) or beside it (horizontal)."""

    @model_validator(mode="after")
    def _check_primary_action(self) -> Self:
        primary = [action.label for action in self.actions or () if action.style == "primary"]
        if len(primary) > 1:
            raise ValueError(f"at most one action can be primary (got {', '.join(primary)})")
        return self


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
    """Opens a page or an email."""

    type: Literal["link"]
    url: LinkUrl


class ReplyAction(_Action):
    """Sends the text as the user's next message."""

    type: Literal["reply"]
    text: str


class SubmitAction(_Action):
    """Sends a named action to the application."""

    type: Literal["submit"]
    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_.-]*$")
    values: dict[str, str] | None = None


Action: TypeAlias = Annotated[LinkAction | ReplyAction | SubmitAction, Field(discriminator="type")]
