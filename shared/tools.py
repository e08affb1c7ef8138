"""The display tools a request may enable: what the API checks names against, and the worker has."""

DISPLAY_TOOL_NAMES = ("generateForm", "generateChart", "generateCode", "generateCard")
