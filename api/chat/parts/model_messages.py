"""Content parts of OpenAI, of Anthropic, and of the AI SDK's model messages.

Clients that were written for these APIs send them in `content`.
"""

from typing import Annotated, Any, Literal

from pydantic import AliasChoices, Discriminator, Field, Tag

from api.chat.parts.ai_sdk import file_part
from api.chat.parts.file_fields import (
    FileName,
    FileSource,
    FileUrl,
    MediaType,
    WrappedUrl,
    text_url,
)
from api.chat.parts.json_values import fields_of, text_with_notes
from api.chat.parts.unusable import TAG_PREFIX
from api.http.body_model import Nested, RequestModel
from shared.chat import messages

_MEDIA_TYPE = AliasChoices("mediaType", "mimeType", "mime_type")


class RefusalPart(RequestModel):
    refusal: str

    def normalized(self) -> messages.Part | None:
        return messages.TextPart(text=self.refusal) if self.refusal.strip() else None


class UrlPart(RequestModel):
    """OpenAI: `image_url`, `input_image`, and the `video_url` and `audio_url` of vLLM."""

    url: WrappedUrl = Field(
        validation_alias=AliasChoices("image_url", "video_url", "audio_url", "file_url")
    )
    filename: FileName = None

    def normalized(self) -> messages.FilePart:
        return file_part(self.url, "", self.filename)


class ImagePart(RequestModel):
    """The AI SDK's model messages: `image` is a URL or base64. LangChain names it differently."""

    image: FileSource = Field(validation_alias=AliasChoices("image", "url", "base64", "data"))
    media_type: MediaType = Field("", validation_alias=_MEDIA_TYPE)
    filename: FileName = None

    def normalized(self) -> messages.FilePart:
        return file_part(self.image, self.media_type, self.filename)


class InlineFile(RequestModel):
    """The AI SDK 4, model messages and LangChain: `data` is a URL or base64."""

    data: FileSource = Field(validation_alias=AliasChoices("data", "base64"))
    media_type: MediaType = Field("", validation_alias=_MEDIA_TYPE)
    filename: FileName = None

    def normalized(self) -> messages.FilePart:
        return file_part(self.data, self.media_type, self.filename)


class InputFile(RequestModel):
    """OpenAI's Responses API: `input_file` with `file_data`."""

    file_data: FileSource = Field(alias="file_data")
    filename: FileName = None

    def normalized(self) -> messages.FilePart:
        return file_part(self.file_data, "", self.filename)


class NestedFile(RequestModel):
    """OpenAI's chat completions: `{"type": "file", "file": {"file_data": …}}`."""

    file: InputFile

    def normalized(self) -> messages.FilePart:
        return self.file.normalized()


class Audio(RequestModel):
    data: FileSource
    format: Annotated[str, Field(pattern=r"^\w{1,16}$")] = "wav"


class InputAudio(RequestModel):
    input_audio: Audio = Field(alias="input_audio")

    def normalized(self) -> messages.FilePart:
        audio = self.input_audio
        return file_part(audio.data, f"audio/{'mpeg' if audio.format == 'mp3' else audio.format}")


class Base64Source(RequestModel):
    type: Literal["base64"]
    data: FileSource
    media_type: MediaType = Field("", alias="media_type")

    def normalized(self, filename: str | None) -> messages.FilePart:
        return file_part(self.data, self.media_type, filename)


class UrlSource(RequestModel):
    type: Literal["url"]
    url: FileUrl

    def normalized(self, filename: str | None) -> messages.FilePart:
        return file_part(self.url, "", filename)


class TextSource(RequestModel):
    type: Literal["text", "content"]
    #: A text, or content blocks.
    data: Nested = Field(validation_alias=AliasChoices("data", "content"))

    def normalized(self, filename: str | None) -> messages.FilePart:
        text = text_with_notes(self.data)
        return file_part(text_url(text if isinstance(text, str) else ""), "", filename)


class SourceFile(RequestModel):
    """Anthropic: `image` and `document` with a `source`."""

    source: Annotated[
        Annotated[Base64Source, Tag(f"{TAG_PREFIX}base64")]
        | Annotated[UrlSource, Tag(f"{TAG_PREFIX}url")]
        | Annotated[TextSource, Tag(f"{TAG_PREFIX}text")],
        Discriminator(lambda source: f"{TAG_PREFIX}{_source_kind(fields_of(source))}"),
    ]
    title: FileName = None

    def normalized(self) -> messages.FilePart:
        return self.source.normalized(self.title)


def _source_kind(source: dict[str, Any]) -> str:
    if "url" in source:
        return "url"
    return "text" if source.get("type") in ("text", "content") else "base64"
