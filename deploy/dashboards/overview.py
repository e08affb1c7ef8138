"""Is it well? One look, and what to look at next."""

from deploy.dashboards.panel import SCOPE, Dashboard, Panel, Row, per_second, quantiles

_QUEUE = f'{SCOPE},queue=~"$queue"'
_WAITING = f'max by (queue) (mamba_queue_runs{{{_QUEUE},state="waiting"}})'
_FAILED = f'sum(rate(mamba_runs_total{{{SCOPE},outcome="failed"}}[$__rate_interval]))'
_ENDED = f"sum(rate(mamba_runs_total{{{SCOPE}}}[$__rate_interval]))"


def _stat(
    title: str, description: str, query: str, unit: str = "short", limits: tuple[float, ...] = ()
) -> Panel:
    return Panel(title, description, {"": query}, unit, "stat", width=3, height=4, limits=limits)


WELL = Row(
    "Is it well?",
    (
        _stat(
            "Alerts",
            "That fire now. Which ones: below; what to do: the runbook.",
            'count(ALERTS{alertname=~"Mamba.*",alertstate="firing",namespace=~"$namespace"})'
            " or vector(0)",
            limits=(1,),
        ),
        _stat(
            "Waiting",
            "Runs that are due and that no worker has.",
            f"sum({_WAITING})",
            limits=(50, 500),
        ),
        _stat(
            "Oldest wait",
            "Of the run that has waited longest. Over 60 s: MambaQueueStuck.",
            f"max(mamba_queue_oldest_wait_seconds{{{_QUEUE}}})",
            "s",
            limits=(10, 60),
        ),
        _stat(
            "Workers",
            "Alive, and taking runs. None is well only while nobody waits.",
            f'max(mamba_workers{{{SCOPE},state="serving"}})',
        ),
        _stat(
            "Places taken",
            "Of all places of all workers. From 90 % on further runs will wait.",
            f"max(mamba_workers_runs{{{SCOPE}}}) / (max(mamba_workers_slots{{{SCOPE}}}) > 0)",
            "percentunit",
            limits=(0.7, 0.9),
        ),
        _stat(
            "Failed",
            "Share of the answers that end in an error.",
            f"{_FAILED} / ({_ENDED} > 0) or vector(0)",
            "percentunit",
            limits=(0.05, 0.1),
        ),
        _stat(
            "Redis memory",
            "Of what Redis may use (maxmemory). Empty where it has no limit.",
            f"max(mamba_redis_memory_bytes{{{SCOPE}}})"
            f" / (max(mamba_redis_memory_limit_bytes{{{SCOPE}}}) > 0)",
            "percentunit",
            limits=(0.8, 0.95),
        ),
        _stat(
            "Down",
            "Redis and model endpoints that do not answer.",
            f"(count(max by (provider) (mamba_provider_up{{{SCOPE}}}) == 0) or vector(0))"
            f" + (1 - max(mamba_redis_up{{{SCOPE}}}))",
            limits=(1,),
        ),
        Panel(
            "Alerts that fire",
            "Each has its recipe under its name in the runbook.",
            {"": 'ALERTS{alertname=~"Mamba.*",alertstate="firing",namespace=~"$namespace"}'},
            kind="table",
            width=12,
            height=6,
        ),
        Panel(
            "Versions",
            "Processes by the version that they run. Two: a roll-out is under way.",
            {"{{job}} {{version}}": f"count by (job, version) (mamba_build_info{{{SCOPE}}})"},
            width=12,
            height=6,
        ),
    ),
)

WAITS = Row(
    "Do answers begin in time?",
    (
        Panel(
            "Runs in the queue",
            "waiting: for a worker; running: a worker has them; deferred: not due yet, as "
            "between two tries.",
            {"{{queue}} {{state}}": f"max by (queue, state) (mamba_queue_runs{{{_QUEUE}}})"},
        ),
        Panel(
            "Oldest wait by queue",
            "How long the oldest waiting run of each queue has been due. A line that climbs at "
            "45°: nobody takes any.",
            {"{{queue}}": f"max by (queue) (mamba_queue_oldest_wait_seconds{{{_QUEUE}}})"},
            "s",
            limits=(10, 60),
        ),
        Panel(
            "Wait for a worker",
            "From a run's admission to its first start, of those that started. High: add workers.",
            quantiles("mamba_run_wait_seconds", 'queue=~"$queue"'),
            "s",
            limits=(10,),
        ),
        Panel(
            "First token",
            "From a run's admission to the first thing that its reader sees. Less the wait, it "
            "is the model's.",
            quantiles("mamba_run_first_token_seconds"),
            "s",
            limits=(20,),
        ),
        Panel(
            "Places and runs",
            "Where runs meet places, the next ones wait.",
            {
                "places": f"max(mamba_workers_slots{{{SCOPE}}})",
                "runs": f"max(mamba_workers_runs{{{SCOPE}}})",
            },
        ),
        Panel(
            "Workers by state",
            "Alive, by state. Draining ones take nothing new.",
            {"{{state}}": f"max by (state) (mamba_workers{{{SCOPE}}})"},
        ),
    ),
)

ENDS = Row(
    "Do they end well?",
    (
        Panel(
            "Answers by outcome",
            "Ended runs a second.",
            {"{{outcome}}": per_second("mamba_runs_total", "outcome")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Errors by code",
            "Failed runs a second. Each code has a row in docs/reference/errors.md.",
            {"{{code}}": per_second("mamba_run_errors_total", "code")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Model endpoints",
            "1 while it answers its list of models as it should.",
            {"{{provider}}": f"max by (provider) (mamba_provider_up{{{SCOPE}}})"},
        ),
        Panel(
            "Accepted",
            "Runs that were let in, a second, by agent.",
            {"{{agent}}": per_second("mamba_runs_accepted_total", "agent")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Refused",
            "Requests that were turned down, a second, by code. queue_full: add workers.",
            {"{{code}}": per_second("mamba_http_refusals_total", "code")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Redis",
            "How long a PING takes from each API process.",
            {"{{instance}}": f"max by (instance) (mamba_redis_latency_seconds{{{SCOPE}}})"},
            "s",
            limits=(0.005, 0.05),
        ),
    ),
)

OVERVIEW = Dashboard(
    "mamba-overview",
    "Mamba: overview",
    "Is it well? The queue, the workers, what answers come to, Redis and the models.",
    (WELL, WAITS, ENDS),
    {"queue": 'label_values(mamba_queue_runs{namespace=~"$namespace"}, queue)'},
)
