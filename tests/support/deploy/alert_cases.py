"""Deployments with a problem, and deployments that only seem to have one."""

from tests.support.deploy.alert_harness import API, WORKER, AlertCase, Series

API_DOWN: Series = dict.fromkeys(API)
WORKER_UNSCRAPED: Series = dict.fromkeys(WORKER)
WAITING = 'mamba_queue_runs{queue="main",state="waiting"}'
OLDEST = 'mamba_queue_oldest_wait_seconds{queue="main"}'
WORKERS = 'mamba_queue_workers{queue="main"}'
SLOTS = 'mamba_queue_slots{queue="main"}'
INTAKE_PAUSED = 'mamba_queue_paused{queue="main",what="intake"}'
PROCESSING_PAUSED = 'mamba_queue_paused{queue="main",what="processing"}'
SLOTS_USED = 'mamba_queue_slots_used{queue="main"}'
SERVING = 'mamba_workers{state="serving"}'
SUCCEEDED = 'mamba_runs_total{agent="chat",model="gpt",outcome="succeeded"}'
FAILED = 'mamba_runs_total{agent="chat",model="gpt",outcome="failed"}'
QUICK_WAIT = 'mamba_run_wait_seconds_bucket{queue="main",le="0.05"}'
WAIT_10 = 'mamba_run_wait_seconds_bucket{queue="main",le="10"}'
TOKEN_1 = 'mamba_run_first_token_seconds_bucket{agent="chat",model="gpt",le="1"}'
TOKEN_20 = 'mamba_run_first_token_seconds_bucket{agent="chat",model="gpt",le="20"}'
CHAT = 'method="POST",route="/chat"'
FAST_ACCEPT = f'mamba_http_request_duration_seconds_bucket{{{CHAT},le="0.1"}}'
REQUESTS = f'mamba_http_requests_total{{{CHAT},status="200"}}'
CUT = 'mamba_streams_total{outcome="cut"}'
BEGUN = "mamba_attempts_begun_total"
MEMORY = "mamba_redis_memory_bytes"
LIMIT = "mamba_redis_memory_limit_bytes"
RETRYING = 'mamba_webhooks{destination="app",state="retrying"}'
GIVEN_UP = 'mamba_webhooks{destination="app",state="failed"}'


def errors(code: str) -> str:
    return f'mamba_run_errors_total{{code="{code}"}}'


def attempts(outcome: str) -> str:
    return f'mamba_attempts_total{{outcome="{outcome}"}}'


def status(number: int) -> str:
    return f'mamba_http_requests_total{{{CHAT},status="{number}"}}'


#: An API process without Redis does not export these metrics.
NO_REDIS: Series = {
    name: None
    for name in API
    if name.startswith(("mamba_queue_", "mamba_workers", "mamba_redis"))
    and name != "mamba_queue_limit"
} | {"mamba_redis_up": "0"}
STREAM_NODES: Series = {
    f'mamba_streams_{name}{{node="{node}:6379"}}': value
    for node in ("one", "two")
    for name, value in (("up", "1"), ("memory_bytes", "10"), ("memory_limit_bytes", "100"))
}
IDLE: Series = {name: "60" for name, values in API.items() if values == "+60"}
IDLE_WORKER: Series = {name: "60" for name, values in WORKER.items() if values == "+60"}
#: Each counter is reset in the middle.
RESET = "0+60x39 0+60x59"
RESTARTED: Series = {name: RESET for name, values in WORKER.items() if values == "+60"}

PROCESSES = (
    AlertCase("healthy"),
    AlertCase("no traffic", api=IDLE, worker=IDLE_WORKER),
    AlertCase("a worker has restarted once", worker=RESTARTED),
    AlertCase("no api process exports metrics", ("MambaApiDown",), api=API_DOWN),
    AlertCase(
        "prometheus is rejected",
        ("MambaApiDown", 'MambaTargetDown{instance="a"}', 'MambaTargetDown{instance="b"}'),
        api={**API_DOWN, "up": "0"},
    ),
    AlertCase("one of two api processes is gone", api_b=API_DOWN),
    AlertCase(
        "one of two api processes hangs",
        ('MambaTargetDown{instance="b"}',),
        api_b={**API_DOWN, "up": "0"},
    ),
    AlertCase("one hung briefly", api_b={"up": "1+0x65 0+0x3 1+0x20"}),
    AlertCase(
        "a worker restarts repeatedly",
        ('MambaProcessRestarts{instance="w"}',),
        worker={"process_start_time_seconds": "1700000000+0x45 1+0x5 2+0x5 3+0x40"},
    ),
    AlertCase(
        "workers are alive but not scraped", ("MambaWorkersUnseen",), worker=WORKER_UNSCRAPED
    ),
    AlertCase("workers are scaled to zero", api={SERVING: "0"}, worker=WORKER_UNSCRAPED),
    AlertCase(
        "a worker is killed",
        ("MambaWorkersVanished",),
        api={"mamba_workers_vanished_total": "3+0x65 4+0x20"},
    ),
    AlertCase(
        "the first worker is killed",
        ("MambaWorkersVanished",),
        api={"mamba_workers_vanished_total": "0+0x65 1+0x20"},
    ),
    AlertCase(
        "a new api process exports the total of the deployment",
        api_b={name: f"_x60 {values}+0x20" for name, values in API.items() if values[0] != "+"},
    ),
    AlertCase(
        "a background task fails",
        ('MambaBackgroundFailures{task="OrphanReaper"}',),
        api_b={'mamba_background_failures_total{task="OrphanReaper"}': "0+0x65 1+0x20"},
    ),
    AlertCase(
        "changed settings are invalid",
        ("MambaSettingsRefused",),
        worker={"mamba_settings_loaded": "0"},
    ),
    AlertCase(
        "settings were wrong briefly", worker={"mamba_settings_loaded": "1+0x67 0+0x1 1+0x20"}
    ),
    AlertCase(
        "a rollout is stuck",
        ("MambaVersionsDiffer",),
        worker={'mamba_build_info{version="0.2.0"}': "1"},
    ),
    AlertCase(
        "a rollout is in progress", worker={'mamba_build_info{version="0.2.0"}': "_x50 1+0x40"}
    ),
)

QUEUE = (
    AlertCase(
        "a run waits and there is no worker",
        ('MambaNoWorkers{queue="main"}',),
        api={WAITING: "1", OLDEST: "300", SERVING: "0", WORKERS: "0", SLOTS: "0"},
        worker=WORKER_UNSCRAPED,
    ),
    AlertCase(
        "runs wait in a queue that no worker serves",
        ('MambaQueueUnserved{queue="deep"}',),
        api={
            'mamba_queue_runs{queue="deep",state="waiting"}': "1",
            'mamba_queue_oldest_wait_seconds{queue="deep"}': "300",
            'mamba_queue_workers{queue="deep"}': "0",
            'mamba_queue_slots{queue="deep"}': "0",
            'mamba_queue_slots_used{queue="deep"}': "0",
        },
    ),
    AlertCase(
        "no run waits in a queue that no worker serves",
        api={
            'mamba_queue_runs{queue="deep",state="waiting"}': "0",
            'mamba_queue_workers{queue="deep"}': "0",
        },
    ),
    AlertCase(
        "a pool starts from zero within its time",
        api={
            WAITING: "0+0x69 1+0x20",
            OLDEST: "0+0x69 50+0x20",
            SERVING: "0",
            WORKERS: "0",
            SLOTS: "0",
        },
        worker=WORKER_UNSCRAPED,
    ),
    AlertCase(
        "the oldest run waits, and workers are there",
        ('MambaQueueStuck{queue="main"}',),
        api={WAITING: "1", OLDEST: "61"},
    ),
    AlertCase(
        "of two queues one is stuck",
        ('MambaQueueStuck{queue="research"}',),
        api={
            'mamba_queue_oldest_wait_seconds{queue="research"}': "600",
            'mamba_queue_workers{queue="research"}': "1",
        },
    ),
    AlertCase(
        "the processing is paused for long, and runs wait",
        ('MambaQueuePaused{queue="main"}',),
        api={WAITING: "1", OLDEST: "5000", PROCESSING_PAUSED: "1"},
    ),
    AlertCase(
        "the intake is paused for long",
        ('MambaQueuePaused{queue="main"}',),
        api={INTAKE_PAUSED: "1"},
    ),
    AlertCase("the intake is paused for a moment", api={INTAKE_PAUSED: "0+0x50 1+0x30"}),
    AlertCase("the oldest run waits for a while", api={WAITING: "900", OLDEST: "59"}),
    AlertCase(
        "many wait long",
        ('MambaLongWaits{queue="main"}',),
        worker={QUICK_WAIT: "0", WAIT_10: "+50"},
    ),
    AlertCase("few wait long", worker={QUICK_WAIT: "+58", WAIT_10: "+58"}),
    AlertCase(
        "one in a while waits long",
        worker={
            **{name: "0+1x30 30+0x60" for name in WORKER if name.startswith("mamba_run_wait")},
            QUICK_WAIT: "0",
            WAIT_10: "0",
        },
    ),
    AlertCase(
        "slots are in use", ('MambaWorkersSaturated{queue="main"}',), api={SLOTS_USED: "470"}
    ),
    AlertCase("slots are free", api={SLOTS_USED: "400"}),
    AlertCase("no worker has slots", api={SLOTS_USED: "3", SLOTS: "0"}),
    AlertCase(
        "one pool is full while another idles",
        ('MambaWorkersSaturated{queue="deep"}',),
        api={
            'mamba_queue_runs{queue="deep",state="running"}': "8",
            'mamba_queue_slots{queue="deep"}': "8",
            'mamba_queue_slots_used{queue="deep"}': "8",
        },
    ),
    AlertCase(
        "workers of an unused queue are busy with another",
        api={
            'mamba_queue_runs{queue="deep",state="running"}': "0",
            'mamba_queue_slots{queue="deep"}': "8",
            'mamba_queue_slots_used{queue="deep"}': "8",
        },
    ),
    AlertCase("the queue fills up", ('MambaQueueNearLimit{queue="main"}',), api={WAITING: "8100"}),
    AlertCase("both api processes report the same queue", api={WAITING: "4900"}),
    AlertCase("a queue without a limit", api={WAITING: "50000", "mamba_queue_limit": "0"}),
    AlertCase(
        "chats are refused",
        ("MambaQueueFull",),
        api_b={'mamba_http_refusals_total{code="queue_full"}': "0+0x67 1+0x20"},
    ),
    AlertCase(
        "chats were refused an hour ago",
        api={'mamba_http_refusals_total{code="queue_full"}': "0+0x10 9+0x80"},
    ),
)

ANSWERS = (
    AlertCase(
        "one in eight runs fails",
        ("MambaAnswersFail",),
        worker={FAILED: "+10", errors("model_error"): "+10"},
    ),
    AlertCase("one in 20 runs fails", worker={FAILED: "+3", errors("model_error"): "+3"}),
    AlertCase(
        "conversations are too long", worker={FAILED: "+30", errors("context_too_long"): "+30"}
    ),
    AlertCase(
        "two of three runs fail at low traffic",
        worker={
            SUCCEEDED: "0+0x65 1+0x20",
            FAILED: "0+0x65 2+0x20",
            errors("model_error"): "0+0x65 2+0x20",
        },
    ),
    AlertCase(
        "some runs time out",
        ('MambaTimeouts{code="first_token_timeout"}',),
        worker={FAILED: "+4", errors("first_token_timeout"): "+4"},
    ),
    AlertCase("few runs time out", worker={FAILED: "+1", errors("run_timeout"): "+1"}),
    AlertCase(
        "the quota is exceeded",
        ('MambaModelRefuses{code="quota_exceeded"}',),
        worker={FAILED: "+1", errors("quota_exceeded"): "+1"},
    ),
    AlertCase(
        "a key is rejected for the first time",
        ('MambaModelRefuses{code="model_auth"}',),
        worker={FAILED: "0+0x64 1+0x20", errors("model_auth"): "0+0x64 1+0x20"},
    ),
    AlertCase("the quota was renewed", worker={errors("quota_exceeded"): "0+1x50 50+0x40"}),
    AlertCase(
        "an endpoint is down",
        ('MambaProviderDown{provider="openai"}',),
        api={'mamba_provider_up{provider="openai"}': "0"},
    ),
    AlertCase(
        "an endpoint was down", api={'mamba_provider_up{provider="openai"}': "0+0x68 1+0x20"}
    ),
    AlertCase(
        "a model is slow",
        ('MambaSlowFirstToken{model="gpt"}',),
        worker={TOKEN_1: "0", TOKEN_20: "+50"},
    ),
    AlertCase("a model is sometimes slow", worker={TOKEN_1: "+40", TOKEN_20: "+58"}),
    AlertCase(
        "answers are late because they wait",
        ('MambaLongWaits{queue="main"}',),
        worker={TOKEN_1: "0", TOKEN_20: "+50", QUICK_WAIT: "0", WAIT_10: "+50"},
    ),
    AlertCase(
        "half of the attempts fail",
        ("MambaManyRetries",),
        worker={BEGUN: "+120", attempts("failed"): "+60"},
    ),
    AlertCase("some attempts fail", worker={BEGUN: "+70", attempts("failed"): "+10"}),
    AlertCase("attempts break", ("MambaAttemptsBroken",), worker={attempts("broken"): "+1"}),
    AlertCase("two attempts have broken", worker={attempts("broken"): "0+0x65 2+0x20"}),
    AlertCase(
        "attempts lose their workers",
        ("MambaAttemptsCrashed",),
        worker={attempts("crashed"): "0+0x58 6+0x30"},
    ),
    AlertCase("two attempts lost their workers", worker={attempts("crashed"): "0+0x60 2+0x30"}),
    AlertCase(
        "attempts break without redis",
        ("MambaRedisDown",),
        api=NO_REDIS,
        worker={attempts("broken"): "+1"},
    ),
    AlertCase(
        "runs are abandoned",
        ('MambaAnswersLost{code="crash_budget"}',),
        worker={errors("crash_budget"): "0+0x60 1+0x30"},
    ),
    AlertCase("runs were abandoned long ago", worker={errors("crash_budget"): "0+0x20 2+0x70"}),
    AlertCase("leases are lost", ("MambaLeasesLost",), worker={"mamba_leases_lost_total": "+1"}),
    AlertCase("one lease was lost", worker={"mamba_leases_lost_total": "0+0x62 1+0x30"}),
)

API_AND_REDIS = (
    AlertCase("requests fail", ("MambaApiErrors",), api={status(500): "+1"}),
    AlertCase("a request has failed", api_b={status(500): "0+0x67 1+0x30"}),
    AlertCase(
        "requests are refused without redis",
        ("MambaRedisDown",),
        api={**NO_REDIS, status(503): "+60"},
    ),
    AlertCase("chats are accepted late", ("MambaApiSlow",), api={FAST_ACCEPT: "0"}),
    AlertCase("some chats are accepted late", api={FAST_ACCEPT: "+58"}),
    AlertCase(
        "connections are near the limit",
        ("MambaConnectionsNearLimit",),
        api_b={"mamba_connections_near_limit_total": "0+0x60 1+0x30"},
    ),
    AlertCase("streams are cut", ("MambaStreamsCut",), api={CUT: "+20"}),
    AlertCase("a rollout cuts streams", api={CUT: "0+0x60 0+60x4 240+0x30"}),
    AlertCase(
        "a stream has a gap",
        ("MambaStreamGaps",),
        api_b={"mamba_stream_gaps_total": "0+0x60 1+0x30"},
    ),
    AlertCase(
        "a worker finds a gap",
        ("MambaStreamGaps",),
        worker={'mamba_appends_refused_total{reason="gap"}': "0+0x60 1+0x30"},
    ),
    AlertCase(
        "a destination rejects webhooks",
        ('MambaWebhooksFail{destination="app"}',),
        api={RETRYING: "1+0x60 0 1+0x30"},
    ),
    AlertCase("a webhook failed for a while", api={RETRYING: "1+0x60 0+0x30"}),
    AlertCase(
        "webhooks were given up",
        ('MambaWebhooksFail{destination="app"}',),
        api={RETRYING: "1+0x40 0+0x50", GIVEN_UP: "0+0x40 1+0x50"},
    ),
    AlertCase(
        "webhooks are lost",
        ("MambaWebhooksLost",),
        worker={"mamba_webhooks_lost_total": "0+0x60 1+0x30"},
    ),
    AlertCase("redis is unreachable", ("MambaRedisDown",), api=NO_REDIS),
    AlertCase("redis is unreachable for one of two", api_b=NO_REDIS),
    AlertCase("nodes for streams are well", api=STREAM_NODES),
    AlertCase(
        "a node for streams is unreachable",
        ('MambaRedisDown{node="two:6379"}',),
        api={**STREAM_NODES, 'mamba_streams_up{node="two:6379"}': "0"},
    ),
    AlertCase(
        "a node for streams fills up",
        ('MambaRedisMemory{node="two:6379"}',),
        api={**STREAM_NODES, 'mamba_streams_memory_bytes{node="two:6379"}': "84"},
    ),
    AlertCase(
        "a node for streams is full",
        ('MambaRedisFull{node="two:6379"}', 'MambaRedisMemory{node="two:6379"}'),
        api={**STREAM_NODES, 'mamba_streams_memory_bytes{node="two:6379"}': "99"},
    ),
    AlertCase("redis fills up", ("MambaRedisMemory",), api={MEMORY: "850000000"}),
    AlertCase("redis is full", ("MambaRedisFull", "MambaRedisMemory"), api={MEMORY: "960000000"}),
    AlertCase("redis has no memory limit", api={MEMORY: "960000000", LIMIT: "0"}),
    AlertCase("a hosted redis hides its memory", api={MEMORY: None, LIMIT: None}),
    AlertCase("redis is slow", ("MambaRedisSlow",), api={"mamba_redis_latency_seconds": "0.08"}),
    AlertCase(
        "redis was slow once", api={"mamba_redis_latency_seconds": "0.001+0x67 0.2+0x0 0.001+0x20"}
    ),
)

CASES = (*PROCESSES, *QUEUE, *ANSWERS, *API_AND_REDIS)
