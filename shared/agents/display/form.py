import re
from datetime import date, time
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeInt,
    PositiveInt,
    StrictBool,
    WithJsonSchema,
    model_validator,
)

from shared.agents.display.arguments import (
    Arguments,
    Number,
    check_order,
    check_range,
    check_unique,
)


class Form(Arguments):
    title: str
    description: str | None = None
    fields: "list[FormField]" = Field(min_length=1, max_length=50)
    submit_label: str = "Submit"

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        check_unique([field.name for field in self.fields], "field name")
        return self

    @model_validator(mode="after")
    def _conditions_can_be_met(self) -> Self:
        earlier: dict[str, _Field] = {}
        for field in self.fields:
            if field.visible_when is not None:
                field.visible_when.check(field.name, earlier)
            earlier[field.name] = field
        return self


class Condition(Arguments):
    """Condition on an earlier field. While it is false, the field is hidden and has no value."""

    field: str
    equals: Annotated[
        StrictBool | Number | str, WithJsonSchema({"type": ["string", "number", "boolean"]})
    ]
    """Value of the field; for a multi-select, one of the selected values."""

    def check(self, name: str, earlier: "dict[str, _Field]") -> None:
        """Raise ValueError if no input can satisfy the condition."""
        field = earlier.get(self.field)
        if field is None:
            raise ValueError(
                f'visibleWhen of "{name}" must name an earlier field (got {self.field!r})'
            )
        if not field.may_equal(self.equals):
            raise ValueError(f'visibleWhen of "{name}": {self.field} can never be {self.equals!r}')


class _Field(Arguments):
    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    label: str
    help: str | None = None
    required: bool = False
    visible_when: Condition | None = None

    def may_equal(self, value: object) -> bool:
        """Return whether a user can enter the value."""
        return isinstance(value, str)


def _check_javascript_pattern(pattern: str) -> str:
    """Reject patterns with syntax errors that Python and JavaScript share.

    Compiling takes time and stack, so long and deeply nested patterns are rejected too.
    """
    if len(pattern) > _MAX_PATTERN:
        raise ValueError(f"The regular expression has more than {_MAX_PATTERN:,} characters.")
    try:
        re.compile(_EMPTY_SET.sub(".", re.sub(r"\(\?<(?=\w)", "(?P<", pattern)))
    except re.error as error:
        if error.msg.startswith(_SYNTAX_ERRORS):
            raise ValueError(f"invalid regular expression: {error.msg}") from None
    except (OverflowError, RecursionError):
        raise ValueError("The regular expression is too complex.") from None
    return pattern


_MAX_PATTERN = 1_000
#: Sets that only JavaScript accepts: no character, and any character.
_EMPTY_SET = re.compile(r"(?<!\\)\[\^?\]")
#: Errors in both languages.
_SYNTAX_ERRORS = (
    "missing )",
    "unbalanced",
    "unterminated",
    "nothing to repeat",
    "bad character range",
)


class TextField(_Field):
    type: Literal["text", "email", "url", "tel", "textarea"]
    placeholder: str | None = None
    min_length: NonNegativeInt | None = None
    max_length: PositiveInt | None = None
    pattern: Annotated[str, AfterValidator(_check_javascript_pattern)] | None = None
    """JavaScript regular expression that the whole value must match."""
    default: str | None = None

    @model_validator(mode="after")
    def _lengths_are_ordered(self) -> Self:
        check_order(self.min_length, self.max_length, "minLength and maxLength")
        if self.default is not None:
            check_order(self.min_length, len(self.default), "minLength and the default's length")
            check_order(len(self.default), self.max_length, "the default's length and maxLength")
        return self


class NumberField(_Field):
    type: Literal["number"]
    placeholder: str | None = None
    min: Number | None = None
    max: Number | None = None
    step: Annotated[Number, Field(gt=0)] | None = None
    """Step between values; 1 for integers, any number if omitted."""
    unit: str | None = None
    default: Number | None = None

    @model_validator(mode="after")
    def _limits_are_ordered(self) -> Self:
        check_range(self.min, self.default, self.max)
        return self

    def may_equal(self, value: object) -> bool:
        return isinstance(value, int | float) and not isinstance(value, bool)


class Option(Arguments):
    value: str
    label: str


class _OptionsField(_Field):
    options: list[Option] = Field(min_length=1, max_length=200)

    @model_validator(mode="after")
    def _values_are_unique(self) -> Self:
        check_unique([option.value for option in self.options], "option value")
        return self

    def may_equal(self, value: object) -> bool:
        return value in self.values()

    def values(self) -> list[str]:
        return [option.value for option in self.options]

    def check_offered(self, defaults: list[str]) -> None:
        unknown = [default for default in defaults if default not in self.values()]
        if unknown:
            raise ValueError(
                f"default must be one of the option values {', '.join(self.values())}"
                f" (got {', '.join(unknown)})"
            )


class ChoiceField(_OptionsField):
    """One of the options."""

    type: Literal["select", "radio"]
    placeholder: str | None = None
    default: str | None = None

    @model_validator(mode="after")
    def _default_is_offered(self) -> Self:
        if self.default is not None:
            self.check_offered([self.default])
        return self


class MultiSelectField(_OptionsField):
    """Any number of the options."""

    type: Literal["multi-select"]
    min_items: NonNegativeInt | None = None
    max_items: PositiveInt | None = None
    default: list[str] | None = None

    @model_validator(mode="after")
    def _limits_and_default_fit(self) -> Self:
        check_order(self.min_items, self.max_items, "minItems and maxItems")
        check_order(self.min_items, len(self.options), "minItems and the number of options")
        if self.default:
            self.check_offered(self.default)
            check_unique(self.default, "default")
            check_order(self.min_items, len(self.default), "minItems and the number of defaults")
            check_order(len(self.default), self.max_items, "the number of defaults and maxItems")
        return self


class CheckboxField(_Field):
    """A checkbox; if required, it must be checked."""

    type: Literal["checkbox"]
    default: bool = False

    def may_equal(self, value: object) -> bool:
        return isinstance(value, bool)


class DateField(_Field):
    type: Literal["date"]
    min: date | None = None
    max: date | None = None
    default: date | None = None

    @model_validator(mode="after")
    def _limits_are_ordered(self) -> Self:
        check_range(self.min, self.default, self.max)
        return self


#: A time without time zone and fractions of a second, like a time input of HTML.
_ClockTime = Annotated[
    time,
    AfterValidator(lambda value: value.replace(microsecond=0, tzinfo=None)),
    WithJsonSchema({"type": "string", "pattern": r"^\d\d:\d\d:\d\d$"}, mode="serialization"),
]


class TimeField(_Field):
    type: Literal["time"]
    min: _ClockTime | None = None
    max: _ClockTime | None = None
    default: _ClockTime | None = None

    @model_validator(mode="after")
    def _limits_are_ordered(self) -> Self:
        check_range(self.min, self.default, self.max)
        return self


class FileField(_Field):
    type: Literal["file"]
    accept: list[str] | None = None
    """Accepted types, such as image/*, application/pdf or .csv."""
    multiple: bool = False
    max_bytes: PositiveInt | None = None

    def may_equal(self, value: object) -> bool:  # noqa: ARG002
        return False


FormField: TypeAlias = Annotated[
    TextField
    | NumberField
    | ChoiceField
    | MultiSelectField
    | CheckboxField
    | DateField
    | TimeField
    | FileField,
    Field(discriminator="type"),
]
