"""The overview dashboard: the health of the whole deployment."""

from deploy.dashboards.panel import SCOPE, Dashboard, Panel, PanelRow, per_second, quantiles

_QUEUE = f'{SCOPE},queue=~"$queue"'
_WAITING = f'max by (queue, state) (mamba_queue_runs{{{_QUEUE},state=~"waiting|held"}})'
_USED = (
    f"max by (queue) (mamba_queue_slots_used{{{_QUEUE}}})"
    f" / (max by (queue) (mamba_queue_slots{{{_QUEUE}}}) > 0)"
)
_FAILED = f'sum(rate(mamba_runs_total{{{SCOPE},outcome="failed"}}[$__rate_interval]))'
_ENDED = f"sum(rate(mamba_runs_total{{{SCOPE}}}[$__rate_interval]))"


def _stat(
    title: str, description: str, query: str, unit: str = "short", limits: tuple[float, ...] = ()
) -> Panel:
    return Panel(title, description, {"": query}, unit, "stat", width=3, height=4, limits=limits)


HEALTH = PanelRow(
    "Health",
    (
        _stat(
            "Alerts",
            "Number of firing alerts. They are listed below; the runbook has a recipe for each.",
            'count(ALERTS{alertname=~"Mamba.*",alertstate="firing",namespace=~"$namespace"})'
            " or vector(0)",
            limits=(1,),
        ),
        _stat(
            "Waiting",
            "Runs that are due and not yet claimed by a worker.",
            f"sum({_WAITING})",
            limits=(50, 500),
        ),
        _stat(
            "Oldest wait",
            "Wait of the oldest waiting run. Over 60 s, MambaQueueStuck fires.",
            f"max(mamba_queue_oldest_wait_seconds{{{_QUEUE}}})",
            "s",
            limits=(10, 60),
        ),
        _stat(
            "Workers",
            "Live workers that take runs. Zero is fine only while no runs wait.",
            f'max(mamba_workers{{{SCOPE},state="serving"}})',
        ),
        _stat(
            "Slots in use",
            "Share of the slots in use, for the queue whose workers are fullest. Above 90%, its "
            "new runs will wait.",
            f"max({_USED})",
            "percentunit",
            limits=(0.7, 0.9),
        ),
        _stat(
            "Failed",
            "Share of the runs that end with an error.",
            f"{_FAILED} / ({_ENDED} > 0) or vector(0)",
            "percentunit",
            limits=(0.05, 0.1),
        ),
        _stat(
            "Redis memory",
            "Share of maxmemory in use. Empty if Redis has no limit.",
            f"max(mamba_redis_memory_bytes{{{SCOPE}}})"
            f" / (max(mamba_redis_memory_limit_bytes{{{SCOPE}}}) > 0)",
            "percentunit",
            limits=(0.8, 0.85),
        ),
        _stat(
            "Down",
            "Number of unreachable Redis servers and failing model endpoints.",
            f"(count(max by (provider) (mamba_provider_up{{{SCOPE}}}) == 0) or vector(0))"
            f" + (count(max by (node) (mamba_streams_up{{{SCOPE}}}) == 0) or vector(0))"
            f" + (1 - max(mamba_redis_up{{{SCOPE}}}))",
            limits=(1,),
        ),
        Panel(
            "Firing alerts",
            "The runbook has a recipe under the name of each alert.",
            {"": 'ALERTS{alertname=~"Mamba.*",alertstate="firing",namespace=~"$namespace"}'},
            kind="table",
            width=12,
            height=6,
        ),
        Panel(
            "Versions",
            "Processes by version. Two versions mean that a rollout is in progress.",
            {"{{job}} {{version}}": f"count by (job, version) (mamba_build_info{{{SCOPE}}})"},
            width=12,
            height=6,
        ),
    ),
)

WAITS = PanelRow(
    "Waiting and first tokens",
    (
        Panel(
            "Runs in the queue",
            "waiting: due, not claimed yet; background: the same for background runs; held: "
            "waiting while the processing is paused; running: claimed by a worker; deferred: not "
            "due yet, for example behind an earlier run of their chat.",
            {"{{queue}} {{state}}": f"max by (queue, state) (mamba_queue_runs{{{_QUEUE}}})"},
        ),
        Panel(
            "Oldest wait by queue",
            "Wait of the oldest waiting run of each queue. A line that climbs steadily means that "
            "no worker claims runs.",
            {"{{queue}}": f"max by (queue) (mamba_queue_oldest_wait_seconds{{{_QUEUE}}})"},
            "s",
            limits=(10, 60),
        ),
        Panel(
            "Wait for a worker",
            "Time from a run's admission to its first start. If it is high, add workers.",
            quantiles("mamba_run_wait_seconds", 'queue=~"$queue"'),
            "s",
            limits=(10,),
        ),
        Panel(
            "First token",
            "Time from a run's admission to its first visible output. What remains after the wait "
            "for a worker is spent in the model.",
            quantiles("mamba_run_first_token_seconds"),
            "s",
            limits=(20,),
        ),
        Panel(
            "Slots in use by queue",
            "Share of the slots of the workers that serve the queue. At 100%, its new runs wait, "
            "even if other pools are idle.",
            {"{{queue}}": _USED},
            "percentunit",
            limits=(0.7, 0.9),
        ),
        Panel(
            "Workers by queue",
            "Live workers that serve the queue. A queue with runs needs at least one.",
            {"{{queue}}": f"max by (queue) (mamba_queue_workers{{{_QUEUE}}})"},
        ),
        Panel(
            "Slots and runs",
            "Slots of all workers, and those in use.",
            {
                "slots": f"max(mamba_workers_slots{{{SCOPE}}})",
                "runs": f"max(mamba_workers_runs{{{SCOPE}}})",
            },
        ),
        Panel(
            "Workers by state",
            "Live workers by state. Draining workers take no new runs.",
            {"{{state}}": f"max by (state) (mamba_workers{{{SCOPE}}})"},
        ),
        Panel(
            "Vanished workers",
            "Workers that stopped without shutting down, in five minutes. The log event "
            "worker.vanished names them.",
            {"workers": f"max(increase(mamba_workers_vanished_total{{{SCOPE}}}[5m]))"},
            limits=(1,),
        ),
    ),
)

OUTCOMES = PanelRow(
    "Outcomes",
    (
        Panel(
            "Answers by outcome",
            "Ended runs per second.",
            {"{{outcome}}": per_second("mamba_runs_total", "outcome")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Errors by code",
            "Failed runs per second. docs/reference/errors.md explains each code.",
            {"{{code}}": per_second("mamba_run_errors_total", "code")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Model endpoints",
            "1 while the probe of the endpoint succeeds, otherwise 0.",
            {"{{provider}}": f"max by (provider) (mamba_provider_up{{{SCOPE}}})"},
        ),
        Panel(
            "Accepted runs",
            "Accepted runs per second, by agent.",
            {"{{agent}}": per_second("mamba_runs_accepted_total", "agent")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Refused requests",
            "Refused requests per second, by error code. For queue_full, add workers.",
            {"{{code}}": per_second("mamba_http_refusals_total", "code")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Redis",
            "Latency of a PING from each API process.",
            {"{{instance}}": f"max by (instance) (mamba_redis_latency_seconds{{{SCOPE}}})"},
            "s",
            limits=(0.005, 0.05),
        ),
    ),
)

OVERVIEW = Dashboard(
    "mamba-overview",
    "Mamba: overview",
    "Health of the deployment: queues, workers, outcomes of runs, Redis and model endpoints.",
    (HEALTH, WAITS, OUTCOMES),
    {"queue": 'label_values(mamba_queue_runs{namespace=~"$namespace"}, queue)'},
)
