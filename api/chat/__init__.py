"""Requests that need an answer: parsing, validation, creation of runs, continuation, titles.

The routes are in `api/routes/`, the responses in `api/streaming/`.
"""
