"""`mamba doctor --provider`: a live check of one provider."""

from collections.abc import AsyncIterator

from mamba.cli_errors import CommandFailed
from mamba.operate.doctor.diagnosis import Diagnosis
from shared.providers.names import Provider, default_model, providers_of
from shared.settings import Settings


async def check_provider_live(
    settings: Settings, name: str, model: str | None
) -> AsyncIterator[Diagnosis]:
    """Yield the findings about a provider, and its profile.

    Raises:
        CommandFailed: if the settings have no such provider.
    """
    from worker.models.live_check import check_live  # noqa: PLC0415  (imports pydantic-ai)

    provider = providers_of(settings).get(name)
    if provider is None:
        known = ", ".join(providers_of(settings))
        raise CommandFailed(f"There is no provider {name!r}. Use one of: {known}.")
    default = default_model(settings)
    model = model or (default.model if default.provider == name else None)
    yield Diagnosis("server", "ok", f"{provider.kind}{_profile(provider, model)}")
    async for result in check_live(provider, model):
        setting = _where(name, result.setting) if result.setting else ""
        fix = setting or ("" if result.passed else "see docs/models.md#servers")
        yield Diagnosis(result.step, "ok" if result.passed else "error", result.finding, fix)


def _where(provider: str, setting: str) -> str:
    section = "openai" if provider == "openai" else f"providers.{provider}"
    return f"set {section}.profile.{setting}"


def _profile(provider: Provider, model: str | None) -> str:
    """Describe the profile in effect, as settings."""
    from worker.models.profiles.profile_settings import (  # noqa: PLC0415
        default_profile,
        profile_settings,
    )

    derived = profile_settings(default_profile(provider.kind, model or ""))
    own = provider.settings.profile.model_dump(exclude_none=True)
    fields = {**derived.model_dump(exclude_none=True), **own}
    return "".join(f", {name}: {str(value).lower()}" for name, value in sorted(fields.items()))
