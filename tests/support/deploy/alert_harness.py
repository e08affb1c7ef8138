"""The metrics of a healthy deployment for promtool, and cases that change some of them."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from shared.runs.failure_meanings import MEANINGS

MINUTES = 75
#: Minute at which the firing alerts are compared.
AT = 70

#: Samples per minute: a gauge "3", a counter that grows by "+60", or samples in promtool notation.
#: None removes the series.
Values = str | None
Series = Mapping[str, Values]

API = {
    "up": "1",
    "mamba_redis_up": "1",
    "mamba_redis_latency_seconds": "0.001",
    "mamba_redis_memory_bytes": "100000000",
    "mamba_redis_memory_limit_bytes": "1000000000",
    'mamba_queue_runs{queue="main",state="waiting"}': "0",
    'mamba_queue_runs{queue="main",state="running"}': "20",
    'mamba_queue_oldest_wait_seconds{queue="main"}': "0",
    'mamba_queue_workers{queue="main"}': "2",
    'mamba_queue_slots{queue="main"}': "512",
    'mamba_queue_slots_used{queue="main"}': "20",
    'mamba_queue_paused{queue="main",what="intake"}': "0",
    'mamba_queue_paused{queue="main",what="processing"}': "0",
    "mamba_queue_limit": "10000",
    'mamba_workers{state="serving"}': "2",
    'mamba_workers{state="draining"}': "0",
    "mamba_workers_runs": "20",
    "mamba_workers_slots": "512",
    "mamba_workers_vanished_total": "3",
    'mamba_background_failures_total{task="OrphanReaper"}': "0",
    'mamba_provider_up{provider="openai"}': "1",
    "mamba_settings_loaded": "1",
    'mamba_build_info{version="0.1.0"}': "1",
    'mamba_http_requests_total{method="POST",route="/chat",status="200"}': "+60",
    'mamba_http_requests_total{method="POST",route="/chat",status="500"}': "0",
    'mamba_http_request_duration_seconds_bucket{method="POST",route="/chat",le="0.1"}': "+60",
    'mamba_http_request_duration_seconds_bucket{method="POST",route="/chat",le="10"}': "+60",
    'mamba_http_request_duration_seconds_bucket{method="POST",route="/chat",le="+Inf"}': "+60",
    'mamba_http_request_duration_seconds_count{method="POST",route="/chat"}': "+60",
    'mamba_http_refusals_total{code="queue_full"}': "0",
    'mamba_streams_total{outcome="complete"}': "+60",
    'mamba_streams_total{outcome="cut"}': "0",
    "mamba_stream_gaps_total": "0",
    "mamba_connections_near_limit_total": "0",
}

WORKER = {
    "up": "1",
    "process_start_time_seconds": "1700000000",
    "mamba_settings_loaded": "1",
    'mamba_build_info{version="0.1.0"}': "1",
    "mamba_worker_slots": "256",
    'mamba_runs_total{agent="chat",model="gpt",outcome="succeeded"}': "+60",
    'mamba_runs_total{agent="chat",model="gpt",outcome="failed"}': "0",
    'mamba_run_wait_seconds_bucket{queue="main",le="0.05"}': "+60",
    'mamba_run_wait_seconds_bucket{queue="main",le="10"}': "+60",
    'mamba_run_wait_seconds_bucket{queue="main",le="30"}': "+60",
    'mamba_run_wait_seconds_bucket{queue="main",le="+Inf"}': "+60",
    'mamba_run_wait_seconds_count{queue="main"}': "+60",
    'mamba_run_first_token_seconds_bucket{agent="chat",model="gpt",le="1"}': "+60",
    'mamba_run_first_token_seconds_bucket{agent="chat",model="gpt",le="20"}': "+60",
    'mamba_run_first_token_seconds_bucket{agent="chat",model="gpt",le="60"}': "+60",
    'mamba_run_first_token_seconds_bucket{agent="chat",model="gpt",le="+Inf"}': "+60",
    'mamba_run_first_token_seconds_count{agent="chat",model="gpt"}': "+60",
    "mamba_attempts_begun_total": "+60",
    'mamba_attempts_total{outcome="ended"}': "+60",
    'mamba_attempts_total{outcome="failed"}': "0",
    'mamba_attempts_total{outcome="broken"}': "0",
    'mamba_attempts_total{outcome="crashed"}': "0",
    'mamba_background_failures_total{task="ShardWriter"}': "0",
    **{f'mamba_run_errors_total{{code="{code}"}}': "0" for code in sorted(MEANINGS)},
    "mamba_leases_lost_total": "0",
    "mamba_webhooks_lost_total": "0",
    'mamba_appends_refused_total{reason="gap"}': "0",
}


@dataclass(frozen=True)
class AlertCase:
    """Changes to the metrics of a healthy deployment, and the alerts that they fire, with labels.

    `api` changes both API processes, `api_b` only the second.
    """

    name: str
    fires: tuple[str, ...] = ()
    api: Series = field(default_factory=dict[str, Values])
    api_b: Series = field(default_factory=dict[str, Values])
    worker: Series = field(default_factory=dict[str, Values])

    def series(self) -> list[dict[str, str]]:
        """Return the `input_series` of a promtool test."""
        processes = (
            ("mamba-api", "a", {**API, **self.api}),
            ("mamba-api", "b", {**API, **self.api, **self.api_b}),
            ("mamba-worker", "w", {**WORKER, **self.worker}),
        )
        return [
            {"series": _with_labels(series, job, instance), "values": _samples(values)}
            for job, instance, metrics in processes
            for series, values in metrics.items()
            if values is not None
        ]


def _with_labels(series: str, job: str, instance: str) -> str:
    name, _, labels = series.removesuffix("}").partition("{")
    return f'{name}{{job="{job}",instance="{instance}",{labels}}}'


def _samples(values: str) -> str:
    if "x" in values:
        return values
    if values.startswith("+"):
        return f"0{values}x{MINUTES}"
    return f"{values}+0x{MINUTES}"
