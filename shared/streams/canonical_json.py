"""JSON in its canonical form (RFC 8785), equal to what JavaScript computes from the same JSON.

Numbers are those of JavaScript: integers beyond 2^53 lose their last digits, and a number that no
double can hold is `null`.
"""

import json
import math
from decimal import Decimal
from typing import Any, cast

#: Larger integers are not exact in JavaScript.
_MAX_EXACT_INTEGER = 2**53


def canonical_json(value: object) -> str:
    """Return a JSON value without spaces, with sorted keys and the numbers of JavaScript."""
    match value:
        case None | bool() | str():
            return json.dumps(value, ensure_ascii=False)
        case int() | float():
            return _number(value)
        case dict():
            fields = cast("dict[str, Any]", value)
            members = (
                f"{canonical_json(key)}:{canonical_json(fields[key])}" for key in _sorted(fields)
            )
            return f"{{{','.join(members)}}}"
        case list() | tuple():
            return f"[{','.join(map(canonical_json, cast('list[Any]', value)))}]"
        case _:
            raise TypeError(f"{type(value).__name__} is not a JSON type")


def utf16_order(text: str) -> bytes:
    """Return the sort key of JavaScript's string order."""
    return text.encode("utf-16-be", "surrogatepass")


def _sorted(fields: dict[str, Any]) -> list[str]:
    return sorted(fields, key=utf16_order)


def _number(value: float) -> str:
    if isinstance(value, int) and abs(value) <= _MAX_EXACT_INTEGER:
        return str(value)
    try:
        number = float(value)
    except OverflowError:
        return "null"
    if not math.isfinite(number):
        return "null"
    return _shortest(number) if number else "0"


def _shortest(number: float) -> str:
    """Return the shortest digits of a double in the notation of ECMAScript."""
    _, digits, exponent = Decimal(repr(abs(number))).normalize().as_tuple()
    text = "".join(map(str, digits))
    #: The number of digits before the decimal point.
    point = len(text) + cast("int", exponent)
    prefix = "-" if number < 0 else ""
    if 0 < point <= 21:
        padded = text.ljust(point, "0")
        fraction = padded[point:]
        return f"{prefix}{padded[:point]}{'.' if fraction else ''}{fraction}"
    if -6 < point <= 0:
        return f"{prefix}0.{'0' * -point}{text}"
    fraction = f".{text[1:]}" if text[1:] else ""
    return f"{prefix}{text[0]}{fraction}e{point - 1:+d}"
