"""The dashboard of event delivery: streams, Redis and the API."""

from deploy.dashboards.panel import SCOPE, Dashboard, Panel, PanelRow, per_second, quantiles

_RATE = "$__rate_interval"
_ROUTE = 'route=~"$route"'

STREAMS = PanelRow(
    "Streams",
    (
        Panel(
            "Clients",
            "Clients that follow a run, by API process.",
            {"{{instance}}": f"sum by (instance) (mamba_stream_clients{{{SCOPE}}})"},
            stacked=True,
        ),
        Panel(
            "Ended streams",
            "Streams per second. client_gone: the client disconnected and the run continues; cut: "
            "the API process ended or failed.",
            {"{{outcome}}": per_second("mamba_streams_total", "outcome")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Catch-ups",
            "Rereads of a stream per second. slow: the client's network; missed: publications "
            "were lost and are read again.",
            {"{{reason}}": per_second("mamba_stream_catch_ups_total", "reason")},
            "ops",
            stacked=True,
        ),
        Panel(
            "Stream gaps",
            "Offsets missing in a stream, because Redis lost writes. Must stay 0.",
            {"gaps": f"sum(increase(mamba_stream_gaps_total{{{SCOPE}}}[$__rate_interval]))"},
            limits=(1,),
        ),
        Panel(
            "Refused appends",
            "Per second. fenced: another worker took over after a lost lease, nothing lost; gap: "
            "Redis lost writes.",
            {"{{reason}}": per_second("mamba_appends_refused_total", "reason")},
            "ops",
        ),
        Panel(
            "Group commit",
            "Duration of a worker's round trip to Redis with the tokens of all its runs.",
            quantiles("mamba_append_seconds"),
            "s",
            limits=(0.1,),
        ),
    ),
)

REDIS = PanelRow(
    "Redis",
    (
        Panel(
            "Memory",
            "Memory in use, and its limit if one is set.",
            {
                "used": f"max(mamba_redis_memory_bytes{{{SCOPE}}})",
                "limit": f"max(mamba_redis_memory_limit_bytes{{{SCOPE}}}) > 0",
                "used by {{node}}": f"max by (node) (mamba_streams_memory_bytes{{{SCOPE}}})",
            },
            "bytes",
        ),
        Panel(
            "PING",
            "Latency from each API process. If only one is slow, that process is busy.",
            {"{{instance}}": f"max by (instance) (mamba_redis_latency_seconds{{{SCOPE}}})"},
            "s",
            limits=(0.005, 0.05),
        ),
        Panel(
            "Up",
            "1 while the API process can reach Redis, and each node for streams.",
            {
                "{{instance}}": f"max by (instance) (mamba_redis_up{{{SCOPE}}})",
                "{{node}}": f"max by (node) (mamba_streams_up{{{SCOPE}}})",
            },
        ),
    ),
)

API = PanelRow(
    "API",
    (
        Panel(
            "Requests by route",
            "Requests per second.",
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
            "Requests per second. For 5xx, see the log events request.failed and "
            "request.redis_unavailable; none: the client disconnected first.",
            {"{{status}}": per_second("mamba_http_requests_total", "status", _ROUTE)},
            "reqps",
            stacked=True,
        ),
        Panel(
            "Time to a response, 95th percentile",
            "Time to the start of the response.",
            quantiles("mamba_http_request_duration_seconds", _ROUTE, "method route", "p95"),
            "s",
            limits=(1,),
        ),
        Panel(
            "Refusals by code",
            "Refused requests per second. rate_limited, budget_exceeded and queue_full are limits; "
            "unauthenticated is a wrong key.",
            {"{{code}}": per_second("mamba_http_refusals_total", "code")},
            "reqps",
            stacked=True,
        ),
        Panel(
            "CPU by process",
            "Cores. A process uses at most one core: at 1, start more processes.",
            {"{{job}} {{instance}}": f"rate(process_cpu_seconds_total{{{SCOPE}}}[{_RATE}])"},
            limits=(0.9,),
        ),
        Panel(
            "Memory by process",
            "Resident memory.",
            {"{{job}} {{instance}}": f"process_resident_memory_bytes{{{SCOPE}}}"},
            "bytes",
        ),
    ),
)

STREAMS_AND_REDIS = Dashboard(
    "mamba-streams",
    "Mamba: streams & Redis",
    "Event delivery from workers to clients: streams, Redis and the API.",
    (STREAMS, REDIS, API),
    {"route": 'label_values(mamba_http_requests_total{namespace=~"$namespace"}, route)'},
)
