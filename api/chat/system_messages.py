"""Handling of `system` messages, which any client can send."""

from api.chat.request import ChatRequest
from shared.chat.messages import Message
from shared.errors import InvalidRequest
from shared.settings import AgentSettings


def check_system_messages(chat: ChatRequest, settings: AgentSettings) -> None:
    """Check that there is no system message if the settings refuse them.

    Raises:
        InvalidRequest: if there is one.
    """
    if settings.system_messages != "refuse":
        return
    if (chat.system or "").strip():
        raise InvalidRequest(
            "system: System messages are not accepted. Remove the field.", field="system"
        )
    for message in chat.messages:
        if message.role == "system":
            field = f"{message.path}.role"
            raise InvalidRequest(
                f"{field}: System messages are not accepted. Remove the message.", field=field
            )


def apply_system_messages(
    history: tuple[Message, ...], settings: AgentSettings
) -> tuple[Message, ...]:
    """Return the history as the model should receive it."""
    if settings.system_messages != "user":
        return history
    return tuple(
        message.model_copy(update={"role": "user"}) if message.role == "system" else message
        for message in history
    )
