"""Lists of models, which servers send in many forms."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.models.transport.model_list import MAX_MODELS, ModelIds, parse_model_list
from worker.models.transport.unusable_response import UnusableResponse


def parse(value: object) -> ModelIds:
    return parse_model_list(json.dumps(value).encode(), "application/json")


def test_ids_keep_their_order_and_appear_once() -> None:
    listed = parse({"object": "list", "data": [{"id": "b"}, {"id": "a"}, {"id": "b"}]})
    assert listed == ModelIds(("b", "a"))


def test_empty_list_is_valid() -> None:
    assert parse({"data": []}) == ModelIds(())


@pytest.mark.parametrize(
    "name",
    [5, None, "", " a", "a\n", "a\x00", "a\x1b[31m", "a\u200b", "\ud800", "x" * 257, ["a"], {}],
)
def test_unusable_ids_are_left_out(name: object) -> None:
    assert parse({"data": [{"id": "ok"}, {"id": name}]}) == ModelIds(("ok",), left_out=1)


def test_number_of_models_is_limited() -> None:
    listed = parse({"data": [{"id": f"m{n}"} for n in range(MAX_MODELS + 5)]})
    assert (len(listed.ids), listed.left_out) == (MAX_MODELS, 5)


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ([{"id": "a"}], "not_a_completion"),
        (["a"], "not_a_completion"),
        ({"data": None}, "not_a_completion"),
        ({"data": {"id": "a"}}, "not_a_completion"),
        ({"data": ["a"]}, "not_a_completion"),
        ({"data": [{"object": "model"}]}, "not_a_completion"),
        ({"models": [{"name": "a"}]}, "not_a_completion"),
        ({}, "not_a_completion"),
        (None, "not_a_completion"),
        ("a", "not_a_completion"),
        ({"error": "Unexpected endpoint or method. (GET /models)"}, "endpoint"),
        ({"error": {"message": "x", "code": "invalid_api_key"}}, "authentication"),
        ({"error": {"message": "x"}}, "rejected"),
        ({"detail": "x"}, "rejected"),
    ],
)
def test_other_documents_are_no_list(body: object, reason: str) -> None:
    with pytest.raises(UnusableResponse) as raised:
        parse(body)
    assert raised.value.upstream.reason == reason
    assert raised.value.upstream.content_type == "application/json"


@pytest.mark.parametrize("body", [b"", b"<html>", b"{", b"\xff", b"[" * 100_000, b"9" * 10_000])
def test_invalid_json_is_no_list(body: bytes) -> None:
    with pytest.raises(UnusableResponse, match="instead of an object with the list `data`"):
        parse_model_list(body, "text/html")


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from(["data", "id", "error", "models"]), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=max(200, settings().max_examples))
@given(_JSON.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=60))
def test_any_body_is_a_list_or_unusable(body: bytes) -> None:
    try:
        listed = parse_model_list(body, None)
    except UnusableResponse:
        return
    assert all(name.isprintable() and name for name in listed.ids)
