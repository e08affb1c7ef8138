"""A short live check of one model: a list, an answer, and a tool call. It costs a few tokens."""

import asyncio
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass

from pydantic_ai import Agent
from pydantic_ai.messages import PartDeltaEvent, PartStartEvent, ThinkingPart
from pydantic_ai.models import Model
from pydantic_ai.settings import ModelSettings
from pydantic_ai.usage import UsageLimits

from shared.providers.names import Provider
from worker.models.endpoint import Endpoint
from worker.models.endpoint_errors import ModelBackendError
from worker.models.profiles.profile_settings import profile_overrides
from worker.models.registry import open_endpoint
from worker.models.run_failures import failure_of
from worker.models.transport.upstream_error import UpstreamError

_STEP_SECONDS = 60.0
_MAX_TOKENS = 400

#: The setting that makes requests work, by the reason or the parameter of a rejection.
_SETTINGS: Mapping[str, str] = {
    "alternating_roles": "alternating_roles: true",
    "images_unsupported": "images: false",
    "max_completion_tokens": "max_tokens_field: max_tokens",
    "max_tokens": "max_tokens_field: max_completion_tokens",
    "parallel_tool_calls": "parallel_tool_calls: null",
    "role_order": "alternating_roles: true",
    "stream_options": "stream_usage: false",
    "strict": "strict_tools: false",
    "tool_choice": "tool_choice: auto",
    "tools": "tools: false",
    "tools_unsupported": "tools: false",
}


@dataclass(frozen=True, slots=True)
class CheckResult:
    """The result of one step. `setting` is the field of the profile that should help."""

    step: str
    passed: bool
    finding: str
    setting: str | None = None


async def check_live(provider: Provider, model: str | None) -> AsyncGenerator[CheckResult]:
    """Check a provider with this model, or else with the first one that it lists."""
    async with open_endpoint(provider) as endpoint:
        listed, result = await _list_models(endpoint)
        yield result
        name = model or next(iter((*provider.settings.models, *listed)), None)
        if name is None:
            yield CheckResult("answer", passed=False, finding="no model to check; use --model")
            return
        chat_model = endpoint.chat_model(name, profile=profile_overrides(provider.settings.profile))
        yield await _check_answer(chat_model, name)
        yield await _check_tool_call(chat_model)


async def _list_models(endpoint: Endpoint) -> tuple[tuple[str, ...], CheckResult]:
    try:
        models = await endpoint.models(timeout=_STEP_SECONDS)
    except ModelBackendError as error:
        finding = f"{error} {error.upstream or ''}".strip()
        return (), CheckResult("models", passed=False, finding=finding)
    left_out = f", {models.left_out} without a usable id" if models.left_out else ""
    return models.ids, CheckResult("models", passed=True, finding=f"{len(models.ids)}{left_out}")


async def _check_answer(model: Model, name: str) -> CheckResult:
    pieces, reasoning = 0, False
    agent = Agent(model, model_settings=ModelSettings(max_tokens=_MAX_TOKENS))
    try:
        async with asyncio.timeout(_STEP_SECONDS), agent.iter("Reply with the word OK.") as run:
            async for node in run:
                if Agent.is_model_request_node(node):
                    async with node.stream(run.ctx) as events:
                        async for event in events:
                            pieces += isinstance(event, PartStartEvent | PartDeltaEvent)
                            reasoning |= isinstance(event, PartStartEvent) and isinstance(
                                event.part, ThinkingPart
                            )
    except Exception as error:  # noqa: BLE001  (reported to the operator)
        return _failed("answer", error)
    usage = run.usage
    tokens = f"{usage.input_tokens} + {usage.output_tokens} tokens" if usage.output_tokens else ""
    details = [name, f"{pieces} pieces", tokens or "no token usage"]
    return CheckResult(
        "answer", passed=True, finding=", ".join([*details, *["reasoning"] * reasoning])
    )


async def _check_tool_call(model: Model) -> CheckResult:
    called: list[str] = []

    def ping(text: str) -> str:
        """Record a text."""
        called.append(text)
        return "recorded"

    settings = ModelSettings(max_tokens=_MAX_TOKENS)
    agent = Agent(model, tools=[ping], model_settings=settings, retries=0)
    try:
        async with (
            asyncio.timeout(_STEP_SECONDS),
            agent.run_stream(
                "Call the tool ping with the text OK, then reply with OK.",
                usage_limits=UsageLimits(request_limit=3),
            ) as result,
        ):
            await result.get_output()
    except Exception as error:  # noqa: BLE001  (reported to the operator)
        return _failed("tool call", error)
    if not called:
        return CheckResult("tool call", passed=False, finding="not made", setting="tools: false")
    return CheckResult("tool call", passed=True, finding="made, and its result was accepted")


def _failed(step: str, error: Exception) -> CheckResult:
    if isinstance(error, TimeoutError):
        return CheckResult(step, passed=False, finding=f"no answer within {_STEP_SECONDS:.0f} s")
    failure = failure_of(error)
    details = f"; {failure.upstream}" if failure.upstream else f"; {type(error).__name__}"
    finding = f"{failure.text} ({failure.code}{details})"
    return CheckResult(step, passed=False, finding=finding, setting=_setting(failure.upstream))


def _setting(upstream: UpstreamError | None) -> str | None:
    """Return the setting for the rejected parameter, or else for the reason."""
    names = (upstream.param or "", upstream.reason or "") if upstream else ()
    return next((_SETTINGS[name] for name in names if name in _SETTINGS), None)
