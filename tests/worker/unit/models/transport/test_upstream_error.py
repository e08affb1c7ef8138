"""Error responses of real servers: what they mean, and that nothing unsafe is kept of them."""

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from worker.models.transport.upstream_error import UpstreamError, parse_error


def openai(message: str, **fields: object) -> dict[str, Any]:
    return {"error": {"message": message, "type": "invalid_request_error", **fields}}


def google(message: str, status: str, *details: object) -> list[dict[str, Any]]:
    return [{"error": {"code": 400, "message": message, "status": status, "details": [*details]}}]


LITELLM = "litellm.{}: {} - x. Received Model Group=m\nAvailable Model Group Fallbacks=None"
ANTHROPIC = '{"type":"error","error":{"type":"invalid_request_error","message":"%s"}}'

CONTEXT_LENGTH: list[tuple[int | None, Any]] = [
    (400, openai("This model's maximum context length is 8192 tokens.", code=None)),
    (400, openai("x", code="context_length_exceeded", param="messages")),
    (400, openai("Input tokens exceed the configured limit of 272000 tokens.")),
    (None, openai("Your input exceeds the context window of this model.")),
    (429, openai("Request too large for gpt-4 on tokens per min (TPM): Limit 9, Requested 10.")),
    (400, {"object": "error", "message": "maximum context length is 4096 tokens", "code": 400}),
    (400, {"error": {"message": "max_tokens must be at least 1, got -123.", "code": 400}}),
    (400, openai("The input (9 tokens) is longer than the model's context length (8 tokens).")),
    (
        500,
        {
            "error": {
                "code": 500,
                "message": "the request exceeds the available context size. try increasing it",
                "type": "exceed_context_size_error",
                "n_ctx": 256,
            }
        },
    ),
    (500, {"error": {"code": 500, "message": "Context size has been exceeded."}}),
    (400, {"error": "Trying to keep the first 9 tokens when context the overflows. However, …"}),
    (
        400,
        {
            "error": "The number of tokens to keep from the initial prompt is greater than the"
            " context length (n_keep: 13055>= n_ctx: 4096). Try to load the model with a larger"
            " context length, or provide a shorter input."
        },
    ),
    (400, {"error": {"message": "input length exceeds maximum context length"}}),
    (400, json.loads(ANTHROPIC % "prompt is too long: 209303 tokens > 200000 maximum")),
    (400, json.loads(ANTHROPIC % "input length and `max_tokens` exceed context limit: 1 + 2 > 3")),
    (413, {"type": "error", "error": {"type": "request_too_large", "message": "x"}}),
    (
        400,
        openai(
            LITELLM.format("ContextWindowExceededError", "litellm.BadRequestError"),
            type=None,
            code="400",
        ),
    ),
    (400, openai(LITELLM.format("BadRequestError", ANTHROPIC % "prompt is too long: 9 tokens"))),
    (
        400,
        google(
            "The input token count (28) exceeds the maximum number of tokens allowed (10).",
            "INVALID_ARGUMENT",
        ),
    ),
    (
        400,
        {"message": "Prompt contains 9 tokens, too large for model with 8 maximum context length"},
    ),
    (400, openai("Please reduce the length of the messages or completion.")),
    (422, openai("Input validation error: `inputs` tokens + `max_new_tokens` must be <= 8193.")),
    (400, {"code": "x y", "error": "This model's maximum prompt length is 131072 but …"}),
    (400, openai("Invalid request: Your request exceeded model token limit: 8192")),
    (400, {"error": {"message": "Range of input length should be [1, 30720]"}}),
    (413, openai("Request body too large for gpt-4o model.", code="tokens_limit_reached")),
    (
        None,
        {
            "error": {
                "code": "error",
                "message": "Stream error occurred",
                "value": {
                    "error_message": '{"message":"This model\'s maximum context length is 4"}'
                },
            }
        },
    ),
]

OTHERS: list[tuple[int | None, Any, str]] = [
    (429, openai("You exceeded your current quota", code="insufficient_quota"), "quota"),
    (402, openai("Insufficient Balance", code="invalid_request_error"), "quota"),
    (400, json.loads(ANTHROPIC % "Your credit balance is too low to access the API."), "quota"),
    (402, openai("This request requires more credits, or fewer max_tokens.", code=402), "quota"),
    (429, {"error": {"type": "exceeded_current_quota_error", "message": "x"}}, "quota"),
    (
        429,
        google("You exceeded your current quota", "RESOURCE_EXHAUSTED", {"quotaId": "PerMinute"}),
        "rate_limit",
    ),
    (
        429,
        google(
            "You exceeded your current quota",
            "RESOURCE_EXHAUSTED",
            {"violations": [{"quotaId": "RequestsPerDayPerProject"}]},
        ),
        "quota",
    ),
    (429, openai("Rate limit reached", type="tokens", code="rate_limit_exceeded"), "rate_limit"),
    (429, {"message": "Requests rate limit exceeded"}, "rate_limit"),
    (429, None, "rate_limit"),
    (None, openai(LITELLM.format("RateLimitError", "x"), type=None, code="429"), "rate_limit"),
    (401, openai("Incorrect API key provided: sk-…", code="invalid_api_key"), "authentication"),
    (401, {"error": {"message": "Authentication Fails", "type": "x"}}, "authentication"),
    (403, "<html>Forbidden</html>", "authentication"),
    (
        400,
        google("API key not valid. Please pass a valid API key.", "INVALID_ARGUMENT"),
        "authentication",
    ),
    (401, {"error": {"message": "No auth credentials found", "code": 401}}, "authentication"),
    (
        400,
        openai("The response was filtered due to Azure's content management policy"),
        "content_filter",
    ),
    (400, openai("x", code="content_filter"), "content_filter"),
    (400, openai("Content Exists Risk"), "content_filter"),
    (400, openai("Invalid prompt: flagged as violating", code="invalid_prompt"), "content_filter"),
    (
        403,
        openai("x requires moderation. Your input was flagged for y", code=403),
        "content_filter",
    ),
    (404, openai("The model `x` does not exist", code="model_not_found"), "model_not_found"),
    (404, openai("The model `x` does not exist.", type="NotFoundError"), "model_not_found"),
    (
        404,
        openai('model "x" not found, try pulling it first', type="api_error"),
        "model_not_found",
    ),
    (404, {"type": "error", "error": {"type": "n", "message": "model: x-9"}}, "model_not_found"),
    (404, google("models/x is not found for API version v1", "NOT_FOUND"), "model_not_found"),
    (
        404,
        openai("The API deployment for this resource does not exist.", code="DeploymentNotFound"),
        "model_not_found",
    ),
    (404, openai("No endpoints found for x/y.", code=404), "model_not_found"),
    (400, openai("x is not a valid model ID", code=400), "model_not_found"),
    (
        400,
        {"message": "Invalid model: x", "type": "invalid_model", "code": "1500"},
        "model_not_found",
    ),
    (400, openai("Model Not Exist"), "model_not_found"),
    (400, openai("Invalid model name passed in model=x. Call `/v1/models`"), "model_not_found"),
    (404, openai("No models loaded. Please load a model in the developer page"), "model_not_found"),
    (400, openai("The model `x` has been decommissioned"), "model_not_found"),
    (404, {"detail": "Not Found"}, "endpoint"),
    (404, openai("Invalid URL (POST /v1/v1/chat/completions)"), "endpoint"),
    (404, "404 page not found", "endpoint"),
    (
        404,
        {"error": {"code": 404, "message": "File Not Found", "type": "not_found_error"}},
        "endpoint",
    ),
    (404, {"error": {"code": "404", "message": "Resource not found"}}, "endpoint"),
    (404, openai("Unknown request URL: POST /x.", code="unknown_url"), "endpoint"),
    (404, {"message": "no Route matched with those values"}, "endpoint"),
    (404, "", "endpoint"),
    (405, {"detail": "Method Not Allowed"}, "endpoint"),
    (529, {"type": "error", "error": {"type": "overloaded_error", "message": "O"}}, "overloaded"),
    (None, {"type": "overloaded_error", "message": "Overloaded"}, "overloaded"),
    (503, {"error": {"code": 503, "message": "Loading model", "type": "x"}}, "overloaded"),
    (429, {"error": {"type": "engine_overloaded_error", "message": "x"}}, "overloaded"),
    (400, openai("Unsupported parameter: 'max_tokens'"), "unsupported_parameter"),
    (400, {"error": "registry.ollama.ai/library/x does not support tools"}, "tools_unsupported"),
    (404, openai("No endpoints found that support tool use."), "tools_unsupported"),
    (400, openai("x does not support image input"), "images_unsupported"),
    (400, openai("Conversation roles must alternate user/assistant"), "role_order"),
    (400, openai("A conversation must start with a user message."), "role_order"),
    (400, openai('messages: first message must use the "user" role'), "role_order"),
    (400, openai("Something else"), "rejected"),
]


@pytest.mark.parametrize(("status", "body"), CONTEXT_LENGTH)
def test_context_length_errors_are_recognized(status: int | None, body: Any) -> None:
    assert parse_error(body, status=status).reason == "context_length"
    if not isinstance(body, list):  # the SDK removes the outer object
        assert parse_error(body.get("error", body), status=status).reason == "context_length"


@pytest.mark.parametrize(("status", "body", "reason"), OTHERS)
def test_reasons_of_errors(status: int | None, body: object, reason: str) -> None:
    assert parse_error(body, status=status).reason == reason
    assert parse_error(json.dumps(body), status=status).reason == reason


@pytest.mark.parametrize("status", [400, 422, 500, 502, 504, None])
def test_unknown_error_has_no_reason(status: int | None) -> None:
    assert parse_error({"error": {"message": "boom"}}, status=status).reason is None
    assert parse_error("<html>", status=status).reason is None


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (openai("x", param="max_tokens"), "max_tokens"),
        (openai("x", param="messages[0].content"), "messages[0].content"),
        (
            openai("Unsupported parameter: 'max_tokens' is not supported with this model."),
            "max_tokens",
        ),
        (openai("Unrecognized request argument supplied: top_k"), "top_k"),
        (openai("property 'store' is unsupported"), "store"),
        (openai("x does not support parameters: ['tools'], for model=m"), "tools"),
        (
            {"detail": [{"loc": ["body", "tools", 0], "msg": "m", "type": "extra_forbidden"}]},
            "tools.0",
        ),
    ],
)
def test_parameter_is_found(body: object, param: str) -> None:
    assert parse_error(body, status=400).param == param


def test_fields_are_those_of_the_log() -> None:
    body = openai("x", code="unsupported_parameter", param="max_tokens")
    error = parse_error(body, status=400, content_type="application/json; charset=utf-8")
    assert error.fields() == {
        "upstream_status": 400,
        "upstream_code": "unsupported_parameter",
        "upstream_type": "invalid_request_error",
        "upstream_param": "max_tokens",
        "upstream_reason": "unsupported_parameter",
        "content_type": "application/json",
    }
    assert str(error).startswith("status=400 code=unsupported_parameter type=invalid_request_error")


@pytest.mark.parametrize(
    "value",
    [
        "What is my diagnosis?",
        "sk-abcdef",
        "key-0123456789",
        "a1b2c3d4e5f6a7b8c9d0e1f2",
        "x" * 200,
        "line\nbreak",
        "naïve",
        "",
        True,
        12345678901,
    ],
)
def test_texts_and_keys_are_not_kept(value: object) -> None:
    error = parse_error({"error": {"code": value, "type": value, "param": value, "message": value}})
    assert (error.code, error.type, error.param) == (None, None, None)


def test_repeated_request_is_not_searched() -> None:
    body = {"detail": [{"msg": "bad", "input": "maximum context length", "loc": ["body"]}]}
    assert parse_error(body, status=422).reason is None


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["error", "message", "code", "type", "param", "detail", "loc", "status"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=15,
)


@settings(max_examples=max(200, settings().max_examples))
@given(_JSON, st.none() | st.integers(100, 599), st.none() | st.text(max_size=40))
def test_any_error_is_parsed(body: object, status: int | None, content_type: str | None) -> None:
    error = parse_error(body, status=status, content_type=content_type)
    for name in ("code", "type", "param", "content_type"):
        value = getattr(error, name)
        assert value is None or (value.isascii() and " " not in value and len(value) <= 130)
    assert isinstance(error, UpstreamError)
