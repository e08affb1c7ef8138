"""Checks that no pause of an operator was forgotten."""

from mamba.operate.deployment import Deployment
from mamba.operate.doctor.diagnosis import Diagnosis
from mamba.operate.table import duration
from shared.queue.pauses import Pauses, QueuePause

_EFFECTS = {"intake": "new runs are refused", "processing": "no waiting run starts"}


async def check_pauses(deployment: Deployment) -> list[Diagnosis]:
    now = await deployment.redis_time_ms()
    return [_check(pause, now) for pause in await Pauses(deployment.redis).read()]


def _check(pause: QueuePause, now: int) -> Diagnosis:
    message = (
        f"{pause} was paused {duration(now - pause.at)} ago by {pause.operator}:"
        f" {_EFFECTS[pause.what]}"
    )
    resume = f"mamba queue resume {pause.what} {pause.queue or ''}".strip()
    return Diagnosis("pause", "warning", message, f"when you are done, run: {resume}")
