"""Chunks of any shape, for fuzzing."""

from hypothesis import strategies as st

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
FUNCTION = st.fixed_dictionaries({}, optional={"name": JSON, "arguments": JSON})
CALL = st.fixed_dictionaries(
    {}, optional={"index": JSON, "id": JSON, "function": FUNCTION | JSON, "extra": JSON}
)
DELTA = st.fixed_dictionaries(
    {},
    optional={
        "content": JSON,
        "role": JSON,
        "refusal": JSON,
        "reasoning": JSON,
        "reasoning_content": JSON,
        "reasoning_details": JSON,
        "thinking": JSON,
        "tool_calls": st.lists(CALL, max_size=3) | JSON,
        "function_call": FUNCTION | JSON,
    },
)
CHOICE = st.fixed_dictionaries(
    {},
    optional={
        "index": JSON,
        "delta": DELTA | JSON,
        "message": DELTA | JSON,
        "text": JSON,
        "finish_reason": JSON | st.sampled_from(["stop", "tool_calls"]),
        "usage": JSON,
    },
)
CHUNK = st.fixed_dictionaries(
    {},
    optional={
        "id": JSON,
        "model": JSON,
        "created": JSON,
        "choices": st.lists(CHOICE, max_size=3) | JSON,
        "usage": JSON,
        "x_groq": JSON,
        "service_tier": JSON,
    },
)
