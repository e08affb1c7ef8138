from datetime import date, time
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import Field, NonNegativeInt, PositiveInt, model_validator

from worker.tools.arguments import Arguments, Number, check_order, check_unique


class Form(Arguments):
    title: str
    description: str | None = None
    fields: "list[FormField]" = Field(min_length=1)
    submit_label: str = "Submit"

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        check_unique([field.name for field in self.fields], "field name")
        return self


class _Field(Arguments):
    name: str = Field(pattern=r"^[A-Za-z][A-Za-z0-9_]*$")
    label: str
    help: str | None = None
    required: bool = False


class TextField(_Field):
    type: Literal["text", "email", "url", "tel", "textarea"]
    placeholder: str | None = None
    min_length: NonNegativeInt | None = None
    max_length: PositiveInt | None = None
    pattern: str | None = None
    """JavaScript regular expression for the whole value."""
    default: str | None = None

    @model_validator(mode="after")
    def _lengths_are_ordered(self) -> Self:
        check_order(self.min_length, self.max_length, "minLength and maxLength")
        return self


class NumberField(_Field):
    type: Literal["number"]
    placeholder: str | None = None
    min: Number | None = None
    max: Number | None = None
    step: Annotated[Number, Field(gt=0)] | None = None
    unit: str | None = None
    default: Number | None = None

    @model_validator(mode="after")
    def _limits_are_ordered(self) -> Self:
        check_order(self.min, self.max, "min and max")
        check_order(self.min, self.default, "min and default")
        check_order(self.default, self.max, "default and max")
        return self


class Option(Arguments):
    value: str
    label: str


class _OptionsField(_Field):
    options: list[Option] = Field(min_length=1)

    @model_validator(mode="after")
    def _values_are_unique(self) -> Self:
        check_unique([option.value for option in self.options], "option value")
        return self

    def check_offered(self, defaults: list[str]) -> None:
        values = [option.value for option in self.options]
        unknown = [default for default in defaults if default not in values]
        if unknown:
            raise ValueError(
                f"default must be among the option values {', '.join(values)};"
                f" not {', '.join(unknown)}"
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
        self.check_offered(self.default or [])
        return self


class CheckboxField(_Field):
    """Yes or no; required means it must be ticked."""

    type: Literal["checkbox"]
    default: bool = False


class DateField(_Field):
    type: Literal["date"]
    min: date | None = None
    max: date | None = None
    default: date | None = None

    @model_validator(mode="after")
    def _limits_are_ordered(self) -> Self:
        check_order(self.min, self.max, "min and max")
        check_order(self.min, self.default, "min and default")
        check_order(self.default, self.max, "default and max")
        return self


class TimeField(_Field):
    type: Literal["time"]
    default: time | None = None


class FileField(_Field):
    type: Literal["file"]
    accept: list[str] | None = None
    """Like image/*, application/pdf or .csv."""
    multiple: bool = False
    max_bytes: PositiveInt | None = None


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
