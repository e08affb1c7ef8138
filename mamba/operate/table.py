"""Aligned columns for a terminal."""

from collections.abc import Sequence

BOLD, RED, GREEN, YELLOW, RESET = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"


#: No id or name that Mamba accepts is longer.
_MAX_CHARS = 500


def in_columns(headers: Sequence[str], rows: Sequence[Sequence[object]], *, color: bool) -> str:
    """Return the header line and one line per row. Columns of numbers are right-aligned."""
    texts = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(headers, *texts, strict=True)]
    columns = zip(*rows, strict=True) if rows else [("",)] * len(headers)
    right_aligned = [all(isinstance(cell, int | float) for cell in column) for column in columns]
    lines = [_line(cells, widths, right_aligned) for cells in (list(headers), *texts)]
    if color:
        lines[0] = f"{BOLD}{lines[0]}{RESET}"
    return "\n".join(lines)


def printable(text: str) -> str:
    """Replace control characters, which a client could use to control the terminal.

    A long text is cut.
    """
    if len(text) > _MAX_CHARS:
        text = f"{text[:_MAX_CHARS]}…"
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def duration(milliseconds: float) -> str:
    """Format a duration in its two largest units, such as `59.9s`, `1m01s` or `1h01m`."""
    seconds = max(0.0, milliseconds / 1000)
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def _line(cells: list[str], widths: list[int], right_aligned: list[bool]) -> str:
    padded = (
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(cells, widths, right_aligned, strict=True)
    )
    return "  ".join(padded).rstrip()
