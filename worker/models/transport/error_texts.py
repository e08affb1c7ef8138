"""Known codes and texts of model servers' errors.

They come from OpenAI, Azure, Anthropic, Gemini, Mistral, Groq, DeepSeek, Together, OpenRouter, xAI,
LiteLLM, vLLM, SGLang, TGI, llama.cpp, LM Studio and Ollama, whose statuses differ for one cause.
"""

import re
from typing import Literal

Reason = Literal[
    "context_length",
    "rate_limit",
    "quota",
    "authentication",
    "content_filter",
    "model_not_found",
    "endpoint",
    "overloaded",
    "unsupported_parameter",
    "tools_unsupported",
    "images_unsupported",
    "invalid_output",
    "role_order",
    "not_a_completion",
    "redirect",
    "too_large",
    "rejected",
]

#: Reasons that lie in the request: another model server would fail too.
REQUEST_REASONS: frozenset[Reason] = frozenset(
    (
        "content_filter",
        "context_length",
        "images_unsupported",
        "rejected",
        "role_order",
        "tools_unsupported",
        "unsupported_parameter",
    )
)

_CODES: dict[Reason, frozenset[str]] = {
    "context_length": frozenset(
        {"context_length_exceeded", "exceed_context_size_error", "contextwindowexceedederror"}
        | {"context_window_exceeded", "model_context_window_exceeded", "context_limit_exceeded"}
        | {"tokens_limit_reached", "request_too_large", "prompt_too_long", "input_too_long"}
    ),
    "content_filter": frozenset(
        {"content_filter", "content_policy_violation", "contentpolicyviolationerror"}
        | {"responsibleaipolicyviolation", "data_inspection_failed", "datainspectionfailed"}
        | {"invalid_prompt", "prohibited_content", "moderation_blocked", "content_filter_error"}
    ),
    "quota": frozenset(
        {"insufficient_quota", "billing_hard_limit_reached", "billing_error", "arrearage"}
        | {"exceeded_current_quota_error", "insufficient_balance", "credit_balance_exhausted"}
        | {"organization_spend_limit_exceeded", "project_spend_limit_exceeded", "payment_required"}
        | {"organization_usage_limit_exceeded", "insufficient_credits", "budget_exceeded"}
    ),
    "model_not_found": frozenset(
        {"model_not_found", "model_not_available", "deploymentnotfound", "invalid_model"}
        | {"model_decommissioned", "unknown_model", "model_not_exist", "invalid_model_id"}
    ),
    "authentication": frozenset(
        {"invalid_api_key", "authentication_error", "permission_error", "unauthenticated"}
        | {"authenticationerror", "api_key_invalid", "permission_denied", "invalid_authentication"}
    ),
    "overloaded": frozenset(
        {"overloaded_error", "overloaded", "server_is_overloaded", "engine_overloaded_error"}
        | {"service_unavailable", "service_unavailable_error", "unavailable", "unavailable_error"}
        | {"serviceunavailableerror", "no_capacity", "server_busy"}
    ),
    "rate_limit": frozenset(
        {"rate_limit_exceeded", "rate_limit_error", "rate_limited", "too_many_requests"}
        | {"ratelimiterror", "rate_limit_reached_error", "throttling", "resource_exhausted"}
    ),
    "endpoint": frozenset({"unknown_url"}),
    "unsupported_parameter": frozenset(
        {"unsupported_parameter", "unknown_parameter", "unsupported_value", "extra_forbidden"}
        | {"unsupportedparamserror"}
    ),
    # Groq: what the model generated is not a valid call or JSON, which another attempt may be.
    "invalid_output": frozenset({"tool_use_failed", "json_validate_failed", "output_parse_failed"}),
    # The last one, because servers use these for all errors of a request.
    "rejected": frozenset(
        {"invalid_request_error", "badrequesterror", "bad_request", "invalid_argument"}
        | {"bad_request_error", "invalid_request", "validation_error", "unprocessable_entity"}
    ),
}

_TEXTS: dict[Reason, tuple[str, ...]] = {
    "context_length": (
        r"maximum (context|prompt|input) length",
        r"max(imum)? (context|model) len",
        r"context (length|window|size|limit)\W.{0,80}(exceed|overflow|not enough|too small)",
        r"(exceed|overflow|er than|over)\w*\W.{0,80}context[ _](length|window|size|limit)",
        r"context window is \d+ tokens",
        r"context the overflows",
        r"reduce the length of (the|your)",
        r"(prompt|input|request) is too long",
        r"prompt (is )?too long",
        r"input tokens? exceeds? the configured limit",
        r"(input|prompt) token count.{0,60}exceeds",
        r"exceeds the maximum number of tokens",
        r"exceeded (the )?model('s)? token limit",
        r"inputs`? tokens \+ `?max_new_tokens",
        r"inputs`? must have less than \d+ tokens",
        r"range of input length should be",
        r"prompt exceeds max(imum)? length",
        r"too many (input |total )?tokens\b(?! per)",
        r"max_tokens must be at least 1, got -\d",
        r"request (body )?too large",
    ),
    "content_filter": (
        r"content management policy",
        r"content[ _](filter|policy)",
        r"content exists risk",
        r"flagged (as|by|for)\b",
        r"safety system",
        r"requires moderation",
        r"inappropriate content",
    ),
    "quota": (
        r"exceeded your current quota",
        r"(insufficient|out of|not enough|requires more) (account )?(balance|credit|quota|fund)",
        r"credit balance is too low",
        r"billing (hard )?limit",
        r"exceeded your (monthly|daily|included) ",
        r"payment required",
        r"budget has been exceeded",
    ),
    "authentication": (
        r"(incorrect|invalid|missing|expired|wrong) (x-)?api[ -_]?key",
        r"api[ _-]?key (is )?(not valid|invalid|expired|missing|required|not found)",
        r"authentication (fails|failed|required)",
        r"no (auth credentials|api key)",
    ),
    "model_not_found": (
        r"\bmodel\b.{0,160}?(does not exist|doesn't exist|not exist|not found|decommissioned)",
        r"(invalid|unknown) model\b",
        r"not a valid model",
        r"models/\S+ is not found",
        r"no models? (is |are )?loaded",
        r"failed to load model",
        r"no endpoints found for",
        r"try pulling it first",
        r"unable to access model",
        r"deployment for this resource does not exist",
        r"\bmodel: \S+$",
    ),
    "endpoint": (
        r"unexpected endpoint or method",
        r"invalid url \(",
        r"unknown request url",
        r"no route matched",
        r"404 page not found",
    ),
    "tools_unsupported": (
        r"does not support (tools|tool use|tool calls|function calling)",
        r"support tool use",
        r"tool choice requires",
        r"tools? (is|are) not supported",
    ),
    "images_unsupported": (
        r"(does not|doesn't|not) support (image|vision|multimodal)",
        r"image (input|content) (is )?not supported",
        r"image_url.{0,40}(not supported|unsupported)",
        r"not a multimodal model",
    ),
    "role_order": (
        r"roles must alternate",
        r"only user and assistant roles",
        r"first message must (be|have|use).{0,20}\buser",
        r"must (start|begin) with (a|the) user",
    ),
    "unsupported_parameter": (
        r"(unsupported|unknown|unrecognized|unexpected) (parameter|argument|field|request arg)",
        r"extra (inputs|fields) (are )?not permitted",
        r"does not support parameters",
        r"property '[\w.]+' is unsupported",
        r"parameter.{0,60}(is )?not supported",
    ),
    "overloaded": (
        r"overloaded",
        r"(over|at|out of) capacity",
        r"(loading model|model is (currently )?loading)",
        r"server (is )?busy",
        r"no available (channel|server|worker|instance)",
    ),
    "rate_limit": (r"rate limit", r"too many requests"),
}
_PATTERNS = {
    reason: re.compile("|".join(texts), re.IGNORECASE | re.DOTALL)
    for reason, texts in _TEXTS.items()
}

#: The name of a parameter in the text of an error.
_PARAMETERS = re.compile(
    r"(?:unsupported|unknown|unrecognized|unexpected) (?:parameter|argument|field"
    r"|request argument supplied|keyword argument)s?:? *['`\"]?([A-Za-z][\w.\[\]]{0,60})"
    r"|property '([A-Za-z][\w.]{0,60})' is unsupported"
    r"|does not support parameters: \[?['\"]([A-Za-z]\w{0,60})"
    r"|parameter:? ['`\"]([A-Za-z]\w{0,60})['`\"]"
    r"|['`\"]([A-Za-z]\w{0,60})['`\"] (?:is|are) not supported",
    re.IGNORECASE,
)

#: Reasons that only a rejected request has. Texts of other errors may mention them by chance.
_OF_REQUESTS: frozenset[Reason] = frozenset(
    (
        "content_filter",
        "images_unsupported",
        "model_not_found",
        "role_order",
        "tools_unsupported",
        "unsupported_parameter",
    )
)
_SEARCH_ORDER: tuple[Reason, ...] = (
    "context_length",
    "quota",
    "content_filter",
    "authentication",
    "endpoint",
    "tools_unsupported",
    "images_unsupported",
    "role_order",
    "unsupported_parameter",
    "model_not_found",
    "overloaded",
    "rate_limit",
)


def reason_in_text(
    status: int | None, code: str | None, kind: str | None, text: str
) -> Reason | None:
    """Return why a model server failed: from its codes, then its texts, then the status."""
    if _is_minute_limit(code, text):
        return "rate_limit"
    by_code = _reason_of_codes(code, kind)
    by_text = _reason_of_text(status, text)
    if by_code == "rejected":
        failed = status is not None and status >= 500
        return by_text or _reason_of_status(status) or (None if failed else "rejected")
    if by_code in (None, "rate_limit") and by_text in ("context_length", "quota"):
        return by_text  # such as a request that is larger than the limit of tokens per minute
    return by_code or by_text or _reason_of_status(status)


def unsupported_parameter(text: str) -> str | None:
    """Return the name of the request field that an error's text rejects."""
    found = _PARAMETERS.search(text)
    return next(filter(None, found.groups()), None) if found else None


def _is_minute_limit(code: str | None, text: str) -> bool:
    """Gemini reports its limits per minute and per day with the same code and message."""
    return code == "RESOURCE_EXHAUSTED" and "PerDay" not in text


def _reason_of_codes(*codes: str | None) -> Reason | None:
    names = {code.lower() for code in codes if code}
    return next((reason for reason, known in _CODES.items() if names & known), None)


def _reason_of_text(status: int | None, text: str) -> Reason | None:
    failed = status is not None and (status >= 500 or status in (401, 429))
    for reason in _SEARCH_ORDER:
        if not (failed and reason in _OF_REQUESTS) and _PATTERNS[reason].search(text):
            return reason
    return None


_STATUSES: dict[int, Reason] = {
    401: "authentication",
    402: "quota",
    403: "authentication",
    404: "endpoint",
    405: "endpoint",
    413: "context_length",
    429: "rate_limit",
    503: "overloaded",
    529: "overloaded",
}


def _reason_of_status(status: int | None) -> Reason | None:
    if status is not None and 300 <= status < 400:
        return "redirect"
    return _STATUSES.get(status or 0)
