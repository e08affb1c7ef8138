"""Numbers that are stored as text in Redis."""

_MAX_DIGITS = 15


def whole_number(text: str | bytes | None) -> int | None:
    """Return the number that a stored value holds, or None if it does not hold one."""
    if text and text.isascii() and text.isdigit() and len(text) <= _MAX_DIGITS:
        return int(text)
    return None
