"""The dashboard of runs: latency, tokens, cost and attempts, by agent and model."""

from deploy.dashboards.panel import SCOPE, Dashboard, Panel, PanelRow, per_second, quantiles

_SELECTED = 'agent=~"$agent",model=~"$model"'
_HANDED_OVER = 'outcome="handed_over"'
_MODEL = 'model=~"$model"'

RUNS = PanelRow(
    "Answers",
    (
        Panel(
            "By agent",
            "Ended runs per second.",
            {"{{agent}}": per_second("mamba_runs_total", "agent", _SELECTED)},
            "ops",
            stacked=True,
        ),
        Panel(
            "By model",
            "Ended runs per second.",
            {"{{model}}": per_second("mamba_runs_total", "model", _SELECTED)},
            "ops",
            stacked=True,
        ),
        Panel(
            "Failed, by model",
            "Share of the ended runs. If only one model fails, check its endpoint; if all do, "
            "check the deployment.",
            {
                "{{model}}": per_second(
                    "mamba_runs_total", "model", f'{_SELECTED},outcome="failed"'
                )
                + " / ("
                + per_second("mamba_runs_total", "model", _SELECTED)
                + " > 0)"
            },
            "percentunit",
            limits=(0.05, 0.1),
        ),
    ),
)

TIMES = PanelRow(
    "Latency",
    (
        Panel(
            "First token, by model",
            "Time from a run's admission to its first visible output.",
            quantiles("mamba_run_first_token_seconds", _SELECTED, "model", "p50 p95"),
            "s",
            limits=(20,),
        ),
        Panel(
            "First token, by agent",
            "Agents that call tools first take longer.",
            quantiles("mamba_run_first_token_seconds", _SELECTED, "agent", "p50 p95"),
            "s",
        ),
        Panel(
            "Wait for a worker",
            "The part of the time to the first token that is not spent in the model.",
            quantiles("mamba_run_wait_seconds", "", "queue", "p50 p95"),
            "s",
            limits=(10,),
        ),
        Panel(
            "Announced waits",
            "Runs per second that started inside the range that was first announced to their"
            " client, or earlier or later. About 90% start inside it.",
            {"{{queue}} {{outcome}}": per_second("mamba_announced_waits_total", "queue, outcome")},
            stacked=True,
        ),
        Panel(
            "Duration, by model",
            "Time from a run's first start to its end, including pauses and crashes.",
            quantiles("mamba_run_duration_seconds", _SELECTED, "model", "p50 p95"),
            "s",
        ),
        Panel(
            "Duration, by agent",
            "Time from a run's first start to its end, including pauses and crashes.",
            quantiles("mamba_run_duration_seconds", _SELECTED, "agent", "p50 p95"),
            "s",
        ),
        Panel(
            "Model list latency, by endpoint",
            "Duration of the endpoint's probe. It rises before model requests get slow.",
            {"{{provider}}": f"max by (provider) (mamba_provider_latency_seconds{{{SCOPE}}})"},
            "s",
        ),
    ),
)

COSTS = PanelRow(
    "Tokens and cost",
    (
        Panel(
            "Tokens",
            "Tokens per second. cached_input is included in input.",
            {"{{model}} {{kind}}": per_second("mamba_tokens_total", "model, kind", _MODEL)},
        ),
        Panel(
            "Output tokens per run",
            "Output tokens divided by ended runs.",
            {
                "{{model}}": per_second("mamba_tokens_total", "model", f'{_MODEL},kind="output"')
                + " / ("
                + per_second("mamba_runs_total", "model", _MODEL)
                + " > 0)"
            },
        ),
        Panel(
            "Cost per hour",
            "At the current rate, for models with a known price.",
            {"{{model}}": f"3600 * {per_second('mamba_cost_dollars_total', 'model', _MODEL)}"},
            "currencyUSD",
            stacked=True,
        ),
        Panel(
            "Cost in the time range",
            "Total of the selected time range, for models with a known price.",
            {
                "": f"sum(increase(mamba_cost_dollars_total{{{SCOPE},{_MODEL}}}[$__range]))"
                " or vector(0)"
            },
            "currencyUSD",
            "stat",
            height=6,
            decimals=2,
        ),
        Panel(
            "Tokens in the time range",
            "Total of the selected time range.",
            {
                "{{kind}}": "sum by (kind) "
                f"(increase(mamba_tokens_total{{{SCOPE},{_MODEL}}}[$__range]))"
            },
            kind="stat",
            width=16,
            height=6,
        ),
    ),
)

ATTEMPTS = PanelRow(
    "Attempts",
    (
        Panel(
            "Attempts by outcome",
            "ended: the run ended; failed: it will be retried; handed_over: the worker drained; "
            "taken_over: another worker has the run; broken: a bug, or Redis was unreachable; "
            "crashed: its worker was killed or hung.",
            {"{{outcome}}": per_second("mamba_attempts_total", "outcome")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Attempts per run",
            "Attempts begun divided by ended runs. Above 1, retries, handovers or crashes occur. "
            "Each costs a model request.",
            {
                "attempts": f"sum(rate(mamba_attempts_begun_total{{{SCOPE}}}[$__rate_interval]))"
                f" / (sum(rate(mamba_runs_total{{{SCOPE}}}[$__rate_interval])) > 0)"
            },
        ),
        Panel(
            "Timeouts",
            "Runs per second that ended with a timeout.",
            {"{{code}}": per_second("mamba_run_errors_total", "code", 'code=~".*_timeout"')},
            "ops",
            stacked=True,
        ),
        Panel(
            "Runs by worker",
            "A worker without runs while others are full hangs, or serves other queues.",
            {"{{instance}}": f"max by (instance) (mamba_worker_runs{{{SCOPE}}})"},
        ),
        Panel(
            "Handovers and lost leases",
            "Count in five minutes. A process that hangs loses its leases.",
            {
                "handed over": f"sum(increase(mamba_attempts_total{{{SCOPE},{_HANDED_OVER}}}[5m]))",
                "leases lost": f"sum(increase(mamba_leases_lost_total{{{SCOPE}}}[5m]))",
            },
        ),
        Panel(
            "Draining workers",
            "Draining workers take no new runs.",
            {"{{instance}}": f"max by (instance) (mamba_worker_draining{{{SCOPE}}})"},
        ),
    ),
)

ANSWERS = Dashboard(
    "mamba-answers",
    "Mamba: answers",
    "Latency, tokens, cost, attempts and handovers, by agent and model.",
    (RUNS, TIMES, COSTS, ATTEMPTS),
    {
        "agent": 'label_values(mamba_runs_total{namespace=~"$namespace"}, agent)',
        "model": 'label_values(mamba_runs_total{namespace=~"$namespace"}, model)',
    },
)
