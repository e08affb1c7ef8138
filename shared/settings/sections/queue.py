"""Settings that determine the order in which waiting runs start."""

from typing import Annotated, Literal

from pydantic import Field, StringConstraints

from shared.settings.sections.base import Section

#: An owner's share of the workers' time, relative to other owners with waiting runs.
Weight = Annotated[float, Field(ge=0.1, le=100)]
#: The class of a run. Background runs start after interactive ones, but have a minimum share.
Priority = Literal["interactive", "background"]
_Name = Annotated[str, StringConstraints(min_length=1)]


class QueueSettings(Section):
    weights: dict[_Name, Weight] = Field(
        default={},
        description="Weights of owners, from 0.1 to 100, by plan (`plan` of an API key, "
        "`auth.jwt.plan_claim`) or by owner (`<mode>:<tenant>:<owner>`, such as `jwt::ann`). While "
        "both have waiting runs, an owner with weight 2 gets twice as much of the workers' time as "
        "one with 1, the default",
    )

    background_share: float = Field(
        default=0.1,
        ge=0,
        le=0.9,
        description="Minimum share of the workers' time for background runs (`priority` of a "
        "request) while interactive runs wait too. With 0, background runs wait until no "
        "interactive run waits",
    )
    background_denied: tuple[_Name, ...] = Field(
        default=(),
        description="Plans and owners, named as in `queue.weights`, whose requests with "
        '`"priority": "background"` are refused',
    )

    def allows_background(self, owner: str, plan: str | None) -> bool:
        """Return whether an owner with this plan may start background runs."""
        return not {owner, plan} & {*self.background_denied}

    def weight_of(self, owner: str, plan: str | None) -> float:
        """Return the weight of an owner with this plan."""
        of_plan = 1.0 if plan is None else self.weights.get(plan, 1.0)
        return self.weights.get(owner, of_plan)
