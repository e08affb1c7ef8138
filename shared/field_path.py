"""Paths to fields of nested data, as error messages name them."""

from collections.abc import Iterable


def format_field_path(location: Iterable[int | str]) -> str:
    """Format a Pydantic error location, for example `messages[0].parts[1].text`."""
    steps = (f"[{step}]" if isinstance(step, int) else f".{step}" for step in location)
    return "".join(steps).removeprefix(".")
