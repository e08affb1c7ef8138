"""Extracts code from the messages and files of a conversation."""

from worker.review.extract.extractor import MAX_CHARS, MAX_FILES, SourceExtractor

__all__ = ["MAX_CHARS", "MAX_FILES", "SourceExtractor"]
