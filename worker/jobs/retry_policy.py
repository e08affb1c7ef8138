"""How long a run pauses before it asks a model again.

Exponential, with full jitter: a random part of a bound that doubles. Many runs that fail at once
thus come back spread out.
"""

import random

_BASE_SECONDS = 0.5
_CAP_SECONDS = 8.0
#: Runs that were told the same time come back over a tenth of it, and none of them before it.
_SPREAD = 0.1


def pause_after(failures: int, asked: float | None, dice: random.Random) -> float:
    """Seconds to wait after the failure that follows `failures` others.

    `asked` is what the model itself asked for (`Retry-After`), in seconds.
    """
    if asked is not None:
        return asked * dice.uniform(1, 1 + _SPREAD)
    return dice.uniform(0, min(_CAP_SECONDS, _BASE_SECONDS * 2**failures))
