"""Lone surrogates, which JSON can express but UTF-8 cannot encode. Models may send them."""

from typing import Any, TypeVar, cast

_T = TypeVar("_T")


def replace_lone_surrogates(value: _T) -> _T:
    """Replace lone surrogates by U+FFFD, and join pairs to the character that they encode.

    The value is text, or any JSON value.
    """
    return cast("_T", _replaced(value))


def _replaced(value: Any) -> Any:  # noqa: ANN401  (any JSON)
    match value:
        case str():
            if value.isascii():
                return value
            return value.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
        case dict():
            fields = cast("dict[Any, Any]", value)
            return {_replaced(key): _replaced(item) for key, item in fields.items()}
        case list() | tuple():
            return [_replaced(item) for item in cast("list[Any]", value)]
        case _:
            return value
