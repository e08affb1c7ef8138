"""The way from a worker's token to a client: Redis, the logs, the API."""

from deploy.dashboards.panel import SCOPE, Dashboard, Panel, Row, per_second, quantiles

_RATE = "$__rate_interval"
_ROUTE = 'route=~"$route"'

STREAMS = Row(
    "Streams",
    (
        Panel(
            "Clients",
            "That follow a run now, by API process.",
            {"{{instance}}": f"sum by (instance) (mamba_stream_clients{{{SCOPE}}})"},
            stacked=True,
        ),
        Panel(
            "Ended streams",
            "A second. client_gone: the client left, and the run goes on; cut: the API left or "
            "failed.",
            {"{{outcome}}": per_second("mamba_streams_total", "outcome")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Catch-ups",
            "Reads of a log, a second. slow: clients' networks; missed: the way to Redis loses "
            "publications, and they are healed.",
            {"{{reason}}": per_second("mamba_stream_catch_ups_total", "reason")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Holes",
            "Offsets that a log lacked: Redis has lost writes. Must stay 0.",
            {"holes": f"sum(increase(mamba_stream_gaps_total{{{SCOPE}}}[$__rate_interval]))"},
            limits=(1,),
        ),
        Panel(
            "Refused appends",
            "A second. fenced follows lost leases, and nothing was lost; gap: Redis has lost "
            "writes.",
            {"{{reason}}": per_second("mamba_appends_refused_total", "reason")},
            "ops",
        ),
        Panel(
            "Group commit",
            "A worker's round trip to Redis with the tokens of all its runs.",
            quantiles("mamba_append_seconds"),
            "s",
            limits=(0.1,),
        ),
    ),
)

REDIS = Row(
    "Redis",
    (
        Panel(
            "Memory",
            "What it uses, and what it may use (no line: no limit).",
            {
                "used": f"max(mamba_redis_memory_bytes{{{SCOPE}}})",
                "limit": f"max(mamba_redis_memory_limit_bytes{{{SCOPE}}}) > 0",
            },
            "bytes",
        ),
        Panel(
            "PING",
            "How long it takes from each API process. One alone is slow: that process is busy.",
            {"{{instance}}": f"max by (instance) (mamba_redis_latency_seconds{{{SCOPE}}})"},
            "s",
            limits=(0.005, 0.05),
        ),
        Panel(
            "Up",
            "1 while it answers each API process.",
            {"{{instance}}": f"max by (instance) (mamba_redis_up{{{SCOPE}}})"},
        ),
    ),
)

API = Row(
    "API",
    (
        Panel(
            "Requests by route",
            "A second.",
            {
                "{{method}} {{route}}": per_second(
                    "mamba_http_requests_total", "method, route", _ROUTE
                )
            },
            "reqps",
            stacked=True,
        ),
        Panel(
            "Requests by status",
            "A second. 5xx: the log's request.failed and request.redis_away; none: the client "
            "left first.",
            {"{{status}}": per_second("mamba_http_requests_total", "status", _ROUTE)},
            "reqps",
            stacked=True,
        ),
        Panel(
            "Time to a response, 95th percentile",
            "To its start; of a stream, to its first byte.",
            quantiles("mamba_http_request_duration_seconds", _ROUTE, "method route", "p95"),
            "s",
            limits=(1,),
        ),
        Panel(
            "Refusals by code",
            "A second. rate_limited, too_many_runs and queue_full are limits; unauthenticated: "
            "a wrong key.",
            {"{{code}}": per_second("mamba_http_refusals_total", "code")},
            "reqps",
            stacked=True,
        ),
        Panel(
            "CPU of each process",
            "Cores. A process at 1 is at its end: start more of them.",
            {"{{job}} {{instance}}": f"rate(process_cpu_seconds_total{{{SCOPE}}}[{_RATE}])"},
            limits=(0.9,),
        ),
        Panel(
            "Memory of each process",
            "Resident.",
            {"{{job}} {{instance}}": f"process_resident_memory_bytes{{{SCOPE}}}"},
            "bytes",
        ),
    ),
)

STREAMS_AND_REDIS = Dashboard(
    "mamba-streams",
    "Mamba: streams & Redis",
    "The way from a worker's token to a client: logs, Redis, the API.",
    (STREAMS, REDIS, API),
    {"route": 'label_values(mamba_http_requests_total{namespace=~"$namespace"}, route)'},
)
