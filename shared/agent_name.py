"""Names of agents and queues. A module that both the settings and the agents import."""

from typing import Annotated

from pydantic import StringConstraints

AgentName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_-]*$", max_length=64)]
