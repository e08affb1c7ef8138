"""The settings of the model that a request contains.

A setting that is not allowed or not supported is refused: ignoring it would change the answer
without a notice. Clients use several spellings for one setting.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Annotated, Any, cast

from pydantic import BeforeValidator, ConfigDict, Field, StringConstraints, ValidationError
from pydantic.alias_generators import to_camel

from api.chat.parts.unusable import first_error
from api.http.body_model import FAIL_FAST, RequestModel
from shared.chat.call_settings import CallSettings, ReasoningEffort
from shared.errors import InvalidRequest

#: Other spellings, by setting: those of OpenAI, the AI SDK 4, the AI SDK 7, and Anthropic.
_SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "topP": ("top_p",),
    "maxOutputTokens": (
        *("max_output_tokens", "maxTokens", "max_tokens"),
        *("maxCompletionTokens", "max_completion_tokens"),
    ),
    "stopSequences": ("stop_sequences", "stop"),
    "reasoningEffort": ("reasoning_effort", "reasoning"),
}
#: Settings that no agent supports, and the values that change nothing.
_UNSUPPORTED: Mapping[str, tuple[object, ...]] = {
    **dict.fromkeys(("presencePenalty", "presence_penalty"), (0,)),
    **dict.fromkeys(("frequencyPenalty", "frequency_penalty"), (0,)),
    **dict.fromkeys(("topK", "top_k", "logitBias", "logit_bias", "providerOptions"), ({},)),
    **dict.fromkeys(("toolChoice", "tool_choice"), ("auto", {"type": "auto"})),
    **dict.fromkeys(("responseFormat", "response_format"), ({"type": "text"},)),
}
#: Where assistant-ui sends settings.
_NESTED = "callSettings"
_STOP_CHARS = 256

_StopSequence = Annotated[str, StringConstraints(min_length=1, max_length=_STOP_CHARS)]


def _as_list(value: object) -> object:
    return [value] if isinstance(value, str) else value


def _known_effort(value: object) -> object:
    """Treat the default of the AI SDK 7 as no value."""
    return None if value == "provider-default" else value


class CallSettingsFields(RequestModel):
    """The fields of a request with settings of the model."""

    # Other spellings are read from the extra fields.
    model_config = ConfigDict(extra="allow")

    temperature: float | None = Field(
        default=None, ge=0, le=2, allow_inf_nan=False, description="Randomness of the answer"
    )
    top_p: float | None = Field(
        default=None,
        ge=0,
        le=1,
        allow_inf_nan=False,
        description="Share of the most probable tokens to choose from",
    )
    max_output_tokens: int | None = Field(
        default=None,
        ge=1,
        le=2**31 - 1,
        description="Maximum number of tokens of each response of the model, if the agent does not"
        " have a lower limit",
    )
    stop_sequences: Annotated[
        Annotated[list[_StopSequence], FAIL_FAST] | None, BeforeValidator(_as_list)
    ] = Field(default=None, max_length=16, description="Texts at which the model stops")
    seed: int | None = Field(
        default=None, ge=-(2**63), le=2**63 - 1, description="Seed for repeatable answers"
    )
    reasoning_effort: Annotated[ReasoningEffort | None, BeforeValidator(_known_effort)] = Field(
        default=None,
        description="Effort of the reasoning; `none` turns it off if the model can do without",
    )

    def add_other_spellings(self) -> None:
        """Set the fields that the request contains in another spelling or in `callSettings`.

        Raises:
            InvalidRequest: if one is invalid, contained twice, or not supported.
        """
        extra = self.model_extra or {}
        nested: object = extra.get(_NESTED)
        if nested is not None and not isinstance(nested, dict):
            raise InvalidRequest(f"{_NESTED}: Must be an object.", field=_NESTED)
        sources = {"": extra, f"{_NESTED}.": cast("dict[str, Any]", nested or {})}
        for prefix, fields in sources.items():
            _check_supported(prefix, fields)
            for name, spelling in _spelled(fields):
                self._add(name, f"{prefix}{spelling}", fields[spelling])

    def call_settings(self) -> CallSettings:
        fields = {name: getattr(self, name) for name in CallSettings.model_fields}
        return CallSettings.model_validate(fields)

    def used_settings(self) -> Iterator[str]:
        """Yield the names of the settings that the request contains."""
        for name in CallSettings.model_fields:
            if getattr(self, name) is not None:
                yield to_camel(name)

    def _add(self, name: str, field: str, value: object) -> None:
        attribute = _ATTRIBUTES[name]
        if getattr(self, attribute) is not None:
            raise InvalidRequest(
                f"{field}: The request contains this setting twice. Send only `{name}`.",
                field=field,
            )
        try:
            parsed = CallSettingsFields.model_validate({name: value})
        except ValidationError as error:
            raise InvalidRequest(f"{field}: {first_error(error)[1]}", field=field) from None
        setattr(self, attribute, getattr(parsed, attribute))


_ATTRIBUTES = {to_camel(name): name for name in CallSettings.model_fields}


def check_allowed_settings(used: Iterable[str], allowed: Iterable[str]) -> None:
    """Check that the request contains only settings that the operator allows.

    Raises:
        InvalidRequest: for the first that is not allowed.
    """
    names = [*allowed]
    for name in used:
        if name not in names:
            usable = ", ".join(names) or "none"
            raise InvalidRequest(
                f"{name}: This server does not allow requests to set it. Remove the field, or add "
                f"it to the setting chat.request_settings. Allowed: {usable}.",
                field=name,
            )


def _spelled(fields: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    """Yield each setting that these fields contain, and its spelling."""
    for name in _ATTRIBUTES:
        for spelling in (name, *_SPELLINGS.get(name, ())):
            if fields.get(spelling) is not None:
                yield name, spelling


def _check_supported(prefix: str, fields: Mapping[str, object]) -> None:
    for name, harmless in _UNSUPPORTED.items():
        value = fields.get(name)
        if value is not None and value not in harmless:
            field = f"{prefix}{name}"
            raise InvalidRequest(f"{field}: This setting is not supported. Remove it.", field=field)
