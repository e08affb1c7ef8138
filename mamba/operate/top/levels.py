"""From which numbers on something is yellow or red. `docs/operate/commands.md` names them."""

from typing import NamedTuple


class Level(NamedTuple):
    yellow: float
    red: float

    def style(self, value: float) -> str:
        if value >= self.red:
            return "red"
        return "yellow" if value >= self.yellow else "green"


#: The oldest waiting run's wait, in ms; the doctor and `/health` complain from the same on.
WAIT = Level(2_000, 10_000)
#: The share of the places that is taken, and of the memory that is used.
SHARE = Level(0.7, 0.9)
#: A round trip to Redis, in ms.
LATENCY = Level(5, 50)
