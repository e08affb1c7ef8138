"""Recognizes clients of OpenAI's API, which cannot read the stream of `/chat/completions`.

They would take it for an empty answer. A request without a sign of OpenAI's clients is answered.
"""

from fastapi import Request

from api.chat.ids import ALIAS
from api.chat.request import ChatRequest
from shared.errors import NotOpenAICompatible

#: A header of OpenAI's SDKs, and of libraries that use them.
_SDK_HEADER = "x-stainless-lang"


def check_client(request: Request) -> None:
    """Check the headers, before the body is read.

    Raises:
        NotOpenAICompatible: if the request is sent to `/chat/completions` by an OpenAI SDK.
    """
    if _is_alias(request) and _SDK_HEADER in request.headers:
        raise NotOpenAICompatible


def check_body(request: Request, chat: ChatRequest) -> None:
    """Check the body. OpenAI's clients name a model, choose `stream`, and have no chat ID.

    Raises:
        NotOpenAICompatible: if it is a body of OpenAI's API.
    """
    stream: object = (chat.model_extra or {}).get("stream")
    if _is_alias(request) and chat.id is None and chat.model and isinstance(stream, bool):
        raise NotOpenAICompatible


def _is_alias(request: Request) -> bool:
    return request.url.path.rstrip("/").endswith(f"/chat/{ALIAS}")
