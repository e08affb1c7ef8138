"""Checks of the settings and the environment of this process."""

from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from mamba.operate.doctor.diagnosis import Diagnosis
from shared.providers.names import DEMO_HINT, default_model, fallback_chain, has_usable_model
from shared.settings import CostBudgetSettings, Settings
from shared.settings.ip_addresses import is_loopback
from shared.telemetry.tracing.variables import TracingConfigError, read_tracing_plan


def check_settings(settings: Settings) -> Iterator[Diagnosis]:
    if settings.openai.demo:
        yield Diagnosis(
            "model",
            "warning",
            "the built-in demo model generates all answers",
            DEMO_HINT,
        )
    elif not has_usable_model(settings):
        message = "no model is configured in this environment"
        fix = "set OPENAI_API_KEY; if mamba dev is running, export the settings that it prints"
        yield Diagnosis("model", "error", message, fix)
    if settings.auth.mode == "none" and not is_loopback(settings.server.host):
        yield Diagnosis(
            "auth",
            "warning",
            f"the API listens on {settings.server.host} without authentication: anyone who can "
            "reach it can send requests, and all clients share one owner",
            "see docs/operate/authentication.md",
        )


def check_prices(settings: Settings) -> Iterator[Diagnosis]:
    """Warn if a cost budget cannot limit the default model or one of its fallbacks."""
    costs = (budget.cost for budget in settings.limits.budgets.values())
    if settings.openai.demo or all(cost == CostBudgetSettings() for cost in costs):
        return
    from worker.models.profiles.token_prices import is_price_known  # noqa: PLC0415

    for name in fallback_chain(settings, default_model(settings)):
        if not is_price_known(settings, name):
            yield Diagnosis(
                "prices",
                "warning",
                f"the price of {name} is unknown, so cost budgets do not limit it",
                "set models.prices; see docs/reference/limits.md",
            )


def check_tracing(environment: Mapping[str, str]) -> Diagnosis:
    """Check the tracing variables of this process. Other processes may have different ones."""
    try:
        plan = read_tracing_plan(environment)
    except TracingConfigError as error:
        fix = "correct the variable; see docs/operate/tracing.md"
        return Diagnosis("tracing", "warning", str(error), fix)
    if plan is None:
        return Diagnosis("tracing", "ok", "off")
    if find_spec("opentelemetry") is None or find_spec("opentelemetry.sdk") is None:
        message = "tracing is on, but its packages are not installed"
        return Diagnosis("tracing", "warning", message, "pip install 'mamba-server[tracing]'")
    return Diagnosis("tracing", "ok", f"on: spans go to {plan.shown_endpoint or 'the console'}")
