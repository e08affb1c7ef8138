"""The thresholds of yellow and red values, as in the console.

`docs/operate/commands.md` lists them.
"""

from typing import NamedTuple

from shared.monitoring.snapshot import LONG_WAIT_MS, NOTICEABLE_WAIT_MS


class Level(NamedTuple):
    yellow: float
    red: float

    def style(self, value: float) -> str:
        if value >= self.red:
            return "red"
        return "yellow" if value >= self.yellow else "green"


#: Wait of the oldest waiting run, in ms.
WAIT = Level(NOTICEABLE_WAIT_MS, LONG_WAIT_MS)
#: Share of the slots in use.
SLOTS = Level(0.85, 1.0)
#: Share of the memory in use.
MEMORY = Level(0.75, 0.9)
#: Round trip to Redis, in ms.
LATENCY = Level(5, 50)
