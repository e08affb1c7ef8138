from shared.settings import QueueSettings


def test_background_is_allowed_by_default() -> None:
    assert QueueSettings().allows_background("jwt::ann", None)


def test_background_can_be_denied_by_plan_and_by_owner() -> None:
    settings = QueueSettings(background_denied=("trial", "jwt::ann"))

    assert not settings.allows_background("jwt::ann", None)
    assert not settings.allows_background("jwt::ben", "trial")
    assert settings.allows_background("jwt::ben", "premium")
