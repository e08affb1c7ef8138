"""What answers take and cost, by agent and model; and how often they are begun again."""

from deploy.dashboards.panel import SCOPE, Dashboard, Panel, Row, per_second, quantiles

_OF = 'agent=~"$agent",model=~"$model"'
_HANDED_OVER = 'outcome="handed_over"'
_MODEL = 'model=~"$model"'

MADE = Row(
    "Answers",
    (
        Panel(
            "By agent",
            "Ended runs a second.",
            {"{{agent}}": per_second("mamba_runs_total", "agent", _OF)},
            "ops",
            stacked=True,
        ),
        Panel(
            "By model",
            "Ended runs a second.",
            {"{{model}}": per_second("mamba_runs_total", "model", _OF)},
            "ops",
            stacked=True,
        ),
        Panel(
            "Failed, by model",
            "Share of the ended runs. One model alone: its endpoint; all of them: the house.",
            {
                "{{model}}": per_second("mamba_runs_total", "model", f'{_OF},outcome="failed"')
                + " / ("
                + per_second("mamba_runs_total", "model", _OF)
                + " > 0)"
            },
            "percentunit",
            limits=(0.05, 0.1),
        ),
    ),
)

TIMES = Row(
    "Times",
    (
        Panel(
            "First token, by model",
            "From a run's admission to the first thing that its reader sees.",
            quantiles("mamba_run_first_token_seconds", _OF, "model", "p50 p95"),
            "s",
            limits=(20,),
        ),
        Panel(
            "First token, by agent",
            "An agent that uses tools first takes longer.",
            quantiles("mamba_run_first_token_seconds", _OF, "agent", "p50 p95"),
            "s",
        ),
        Panel(
            "Wait for a worker",
            "The part of it that is no model's.",
            quantiles("mamba_run_wait_seconds", "", "queue", "p50 p95"),
            "s",
            limits=(10,),
        ),
        Panel(
            "Duration, by model",
            "From a run's first start to its end, pauses and crashes included.",
            quantiles("mamba_run_duration_seconds", _OF, "model", "p50 p95"),
            "s",
        ),
        Panel(
            "Duration, by agent",
            "From a run's first start to its end, pauses and crashes included.",
            quantiles("mamba_run_duration_seconds", _OF, "agent", "p50 p95"),
            "s",
        ),
        Panel(
            "List of models, by endpoint",
            "How long the endpoint took to answer a probe: slow before any model is.",
            {"{{provider}}": f"max by (provider) (mamba_provider_latency_seconds{{{SCOPE}}})"},
            "s",
        ),
    ),
)

COSTS = Row(
    "Tokens and cost",
    (
        Panel(
            "Tokens",
            "A second. cached_input is a part of input.",
            {"{{model}} {{kind}}": per_second("mamba_tokens_total", "model, kind", _MODEL)},
        ),
        Panel(
            "Tokens of an answer",
            "Output tokens by ended run.",
            {
                "{{model}}": per_second("mamba_tokens_total", "model", f'{_MODEL},kind="output"')
                + " / ("
                + per_second("mamba_runs_total", "model", _MODEL)
                + " > 0)"
            },
        ),
        Panel(
            "Cost an hour",
            "At the present rate, of models whose price is known.",
            {"{{model}}": f"3600 * {per_second('mamba_cost_dollars_total', 'model', _MODEL)}"},
            "currencyUSD",
            stacked=True,
        ),
        Panel(
            "Cost in this time",
            "Of the time that is shown, of models whose price is known.",
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
            "Tokens in this time",
            "Of the time that is shown.",
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

ATTEMPTS = Row(
    "Attempts",
    (
        Panel(
            "Attempts by outcome",
            "ended: the run did; failed: tried again; handed_over: the worker left; lost: "
            "another has the run; broken: a mistake of ours, or Redis was away.",
            {"{{outcome}}": per_second("mamba_attempts_total", "outcome")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Attempts for an answer",
            "Begun attempts by ended run. Over 1: retries, hand-overs and crashes, each of "
            "which costs a model request.",
            {
                "attempts": f"sum(rate(mamba_attempts_begun_total{{{SCOPE}}}[$__rate_interval]))"
                f" / (sum(rate(mamba_runs_total{{{SCOPE}}}[$__rate_interval])) > 0)"
            },
        ),
        Panel(
            "Time-outs",
            "Runs a second that ended by one of the clocks.",
            {"{{code}}": per_second("mamba_run_errors_total", "code", 'code=~".*_timeout"')},
            "ops",
            stacked=True,
        ),
        Panel(
            "Runs of each worker",
            "A worker that has none while others are full stands still, or serves other queues.",
            {"{{instance}}": f"max by (instance) (mamba_worker_runs{{{SCOPE}}})"},
        ),
        Panel(
            "Hand-overs and lost leases",
            "In five minutes. Leases are lost where a process stands still.",
            {
                "handed over": f"sum(increase(mamba_attempts_total{{{SCOPE},{_HANDED_OVER}}}[5m]))",
                "leases lost": f"sum(increase(mamba_leases_lost_total{{{SCOPE}}}[5m]))",
            },
        ),
        Panel(
            "Workers that drain",
            "They take nothing new.",
            {"{{instance}}": f"max by (instance) (mamba_worker_draining{{{SCOPE}}})"},
        ),
    ),
)

ANSWERS = Dashboard(
    "mamba-answers",
    "Mamba: answers",
    "By agent and model: latency, tokens, cost, attempts, hand-overs.",
    (MADE, TIMES, COSTS, ATTEMPTS),
    {
        "agent": 'label_values(mamba_runs_total{namespace=~"$namespace"}, agent)',
        "model": 'label_values(mamba_runs_total{namespace=~"$namespace"}, model)',
    },
)
