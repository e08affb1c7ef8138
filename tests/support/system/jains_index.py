"""How evenly work is shared."""

from collections.abc import Mapping


def jains_index(work: Mapping[str, float]) -> float:
    """Return Jain's fairness index: 1 if all values are equal, 1/n if one has everything."""
    values = list(work.values())
    return sum(values) ** 2 / (len(values) * sum(value**2 for value in values))
