"""What a media type (RFC 6838) says of a file."""

_TEXTS = frozenset(f"application/{name}" for name in ("json", "xml", "yaml", "x-yaml", "toml"))


def is_text(media_type: str) -> bool:
    """Whether models are given such a file as text: as pydantic-ai sees it, which decodes it."""
    bare = media_type.partition(";")[0].strip()
    return bare.startswith("text/") or bare in _TEXTS or bare.endswith(("+json", "+xml"))
