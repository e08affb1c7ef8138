"""The prompt that requests the rest of an interrupted answer."""

CONTINUE_PROMPT = (
    "Continue your previous answer exactly where it broke off. Do not repeat any part of it, and "
    "do not mention the interruption. Your output is appended directly to its last character."
)
