"""Columns for a terminal."""

from collections.abc import Sequence

BOLD, RED, GREEN, YELLOW, PLAIN = "\x1b[1m", "\x1b[31m", "\x1b[32m", "\x1b[33m", "\x1b[0m"


def in_columns(heads: Sequence[str], rows: Sequence[Sequence[object]], *, color: bool) -> str:
    """The heads and the rows, aligned; numbers to the right."""
    texts = [[printable(str(cell)) for cell in row] for row in rows]
    widths = [max(map(len, column)) for column in zip(heads, *texts, strict=True)]
    right = [
        all(isinstance(cell, int | float) for cell in column) if rows else False
        for column in (zip(*rows, strict=True) if rows else [()] * len(heads))
    ]
    lines = [_line(cells, widths, right) for cells in (list(heads), *texts)]
    if color:
        lines[0] = f"{BOLD}{lines[0]}{PLAIN}"
    return "\n".join(lines)


def printable(text: str) -> str:
    """Without what a terminal would obey: a name may come from whoever asks."""
    return text if text.isprintable() else "".join(c if c.isprintable() else "�" for c in text)


def ago(milliseconds: float) -> str:
    """A time span, as short as it can be read."""
    seconds = max(0.0, milliseconds / 1000)
    if seconds < 60:
        return f"{seconds:.1f}s"
    minutes, rest = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}h{minutes:02}m" if hours else f"{minutes}m{rest:02}s"


def _line(cells: list[str], widths: list[int], right: list[bool]) -> str:
    padded = (
        cell.rjust(width) if is_right else cell.ljust(width)
        for cell, width, is_right in zip(cells, widths, right, strict=True)
    )
    return "  ".join(padded).rstrip()
