"""The first wait that is announced for each job, compared with the real one when the job starts.

The result adapts the later announcements of the queue, so that about `_LATE_PART` of the jobs
start later than announced, whatever their durations and the load are.
"""

from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

from shared.redis import keys
from shared.redis.client import Redis
from shared.redis.scripts import Arguments, redis_script

#: Whether a job started inside the announced range.
WaitOutcome = Literal["inside", "early", "late"]

#: The kinds of waiting jobs with a separate margin (`WaitForecast`). Later jobs of other owners can
#: start before an `overtakable` one, but not before an `ordered` one.
JobKind = Literal["ordered", "overtakable", "background"]
JOB_KINDS: tuple[JobKind, ...] = get_args(JobKind)

#: Each margin of a queue without announced waits.
DEFAULT_MARGIN = 0.7

#: The part of the jobs that may start later than announced. Few start earlier.
_LATE_PART = 0.11

#: A Lua function that requires `FAIR_QUEUE`. It compares the announced wait of a claimed job with
#: the real one, and adapts the margin of the queue's forecast for its kind. It returns the
#: announced seconds and the real milliseconds as `<shortest> <longest> <real>`, or '' if the stored
#: text is invalid.
CHECK_ANNOUNCED_WAIT = f"""
local function check_announced_wait(queue, id, announced, now)
  redis.call('HDEL', fair_job_of(id), 'announced')
  local at, shortest, longest, kind = string.match(announced, '(%d+) (%d+) (%d+) (%a+)')
  if not at then return '' end
  local waited = math.max(0, now - at)
  local change = waited > longest * 1000 and {1 - _LATE_PART} or -{_LATE_PART}
  local margin = number_in(clock_of(queue), kind .. '_margin') or {DEFAULT_MARGIN}
  margin = margin * (1 + change * 0.15)
  write(clock_of(queue), kind .. '_margin', math.max(0.05, math.min(4, margin)))
  return string.format('%s %s %d', shortest, longest, waited)
end
"""


class LikelyWait(NamedTuple):
    """The shortest and the longest likely wait of a job in seconds, and the kind of the job."""

    shortest: int
    longest: int
    kind: JobKind = "ordered"


class AnnouncedWait(NamedTuple):
    """The first announced wait of a job, and its real wait, in seconds."""

    shortest: int
    longest: int
    real: float

    @classmethod
    def parse(cls, text: bytes) -> "AnnouncedWait | None":
        """Return what `check_announced_wait` returned; None if no wait was announced."""
        if not text:
            return None
        shortest, longest, real_ms = map(int, text.split())
        return cls(shortest, longest, real_ms / 1000)

    @property
    def outcome(self) -> WaitOutcome:
        if self.real < self.shortest:
            return "early"
        return "late" if self.real > self.longest else "inside"

    @property
    def ratio(self) -> float:
        """The real wait divided by the middle of the announced range."""
        return self.real / max(0.5, (self.shortest + self.longest) / 2)


async def record_announced_waits(redis: Redis, waits: Mapping[str, LikelyWait]) -> None:
    """Store the announced wait of each job that has none yet."""
    if waits:
        rows = [value for job_id, wait in waits.items() for value in (job_id, *wait)]
        await _record(redis, key_format=keys.fair_job("%s"), rows=rows)


# The hash of a job that has ended is gone, and would have no TTL.
@redis_script("""
local now = string.format('%d', now_ms())
for i = 1, #rows, 4 do
  local fair_job = string.format(key_format, rows[i])
  if redis.call('EXISTS', fair_job) == 1 then
    local wait = table.concat({now, rows[i + 1], rows[i + 2], rows[i + 3]}, ' ')
    redis.call('HSETNX', fair_job, 'announced', wait)
  end
end
""")
def _record(*, key_format: str, rows: Arguments) -> None: ...
