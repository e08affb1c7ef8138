"""Lone surrogates, which JSON can express but UTF-8 cannot encode. Models may send them."""


def replace_lone_surrogates(text: str) -> str:
    """Replace lone surrogates by U+FFFD, and join pairs to the character that they encode."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
