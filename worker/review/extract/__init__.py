"""Extracts code from the messages and files of a conversation."""

from worker.review.extract.extractor import SourceExtractor

__all__ = ["SourceExtractor"]
