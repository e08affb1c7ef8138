"""The failures that the worker defines."""

from worker.models import run_failures
from worker.models.run_failures import Failure

#: All failures of runs except `lost`, which the API reports.
ALL_FAILURES = frozenset(
    {value for value in vars(run_failures).values() if isinstance(value, Failure)}
    | {*run_failures.FAILURES_BY_ERROR.values(), *run_failures.FAILURES_BY_STATUS.values()}
    | {*run_failures.FAILURES_BY_REASON.values()}
)
