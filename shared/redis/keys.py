"""Every Redis key. Keys are built here only, and each has a TTL from its first write.

A run's two keys share the hash tag `{run id}`, so one cluster node has both. All other keys are on
the queue's server. Those of single jobs (`arq:…`) are arq's.
"""

from hashlib import sha256

from arq.constants import in_progress_key_prefix, job_key_prefix

QUEUE = "mamba:queue"
#: Sorted set: the ids of the workers, by expiry time.
WORKERS = "mamba:workers"
#: Sorted set: the ids of the API processes, by expiry time.
API_PROCESSES = "mamba:apis"
#: Stream: the workers that stopped without shutting down, newest last.
VANISHED_WORKERS = "mamba:workers:vanished"
#: Hash: since when the workers have been observed, and how many of them have vanished.
WORKER_WATCH = "mamba:workers:watch"
#: Sorted set: the names of the queues that runs were added to, by the time of the newest.
QUEUES = "mamba:queues"
#: Hash: what operators have paused, in all queues or in one, with the time and the operator.
PAUSES = "mamba:pauses"
#: List: one entry while the processing of all queues is paused. KEDA reads its length.
PROCESSING_PAUSED = "mamba:pauses:processing"
#: List: the actions of operators that no process has logged yet, oldest first.
OPERATOR_ACTIONS = "mamba:operator-actions"
#: The name of the main queue. Agents can have separate queues.
MAIN_QUEUE = "main"
#: Hash: the newest health report of each provider, by name.
PROVIDERS = "mamba:providers"
#: Hash: the newest card of each agent that workers offer, by name.
AGENTS = "mamba:agents"
#: String: the worker that probes the providers now.
PROBE_LEADER = "mamba:providers:leader"
#: Stream: the metrics history, one sample every few seconds, for an hour.
SAMPLES = "mamba:samples"
#: String: the process that adds the next sample.
SAMPLE_LEADER = "mamba:samples:leader"
#: String: the counters of each process at the last sample.
SAMPLE_COUNTERS = "mamba:samples:counters"
#: Sorted set: the ids of ended runs, by their end, as long as they are retained.
ENDED_RUNS = "mamba:ended"
#: List: the ids of failed runs, newest first.
FAILED_RUNS = "mamba:failed"
#: String: the memory of the queue's server was sufficient a moment ago.
MEMORY_CHECKED = "mamba:memory-checked"
#: Sorted set: the owners whose usage is counted, by the time of their last use.
USAGE_OWNERS = "mamba:usage-owners"
#: Sorted set: the ids of runs that webhooks will report, by when their state is checked next.
WEBHOOK_RUNS = "mamba:webhooks"
#: Hash: the bytes that each undelivered webhook occupies, and their total.
WEBHOOK_BYTES = "mamba:webhooks:bytes"
#: Sorted set: the ids of the runs of this hash, by expiry.
WEBHOOK_STORED = "mamba:webhooks:stored"


def run(run_id: str) -> str:
    """Hash: the run's state, owner, attempts and times."""
    return f"mamba:run:{{{run_id}}}"


def stream(run_id: str) -> str:
    """Stream: the run's events. Also the channel that each append is published on."""
    return f"mamba:run:{{{run_id}}}:stream"


def confirmation(hash_tag: str) -> str:
    """String: written so that `WAIT` covers what its connection read or wrote before."""
    return f"mamba:confirmation:{{{hash_tag}}}"


def admitted(run_id: str) -> str:
    """String: the ids of the runs that a run supersedes, for split storage only."""
    return f"mamba:admitted:{run_id}"


def chat(owner: str, chat_id: str) -> str:
    """String: the id of the chat's newest run. Hashed: owner and chat id can be any text."""
    return f"mamba:chat:{_digest(owner, chat_id)}"


def chat_runs(owner: str, chat_id: str) -> str:
    """Sorted set: the ids of the chat's runs, by admission time, as long as they may be stored."""
    return f"{chat(owner, chat_id)}:runs"


def chat_queue(owner: str, chat_id: str) -> str:
    """List: the chat's live run and the runs that wait for it, as `<run id> <key of the queue>`.

    Also the channel on which changes of the chat's runs are published.
    """
    return f"{chat(owner, chat_id)}:queue"


def job_chat(run_id: str) -> str:
    """String: the key of the chat queue that a job belongs to."""
    return f"mamba:job:{run_id}:chat"


def fair_job(run_id: str) -> str:
    """Hash: the owner of a job with name, plan and weight, its service and announced wait."""
    return f"mamba:job:{run_id}:fair"


def stream_token(token: str, chat_id: str) -> str:
    """String: the owner of the chat that the token opens. Hashed, as the token is a secret."""
    return f"mamba:stream-token:{_digest(token, chat_id)}"


def rate(owner: str) -> str:
    """String: when the owner's token bucket is full again, in microseconds."""
    return f"mamba:owner:{_digest(owner)}:rate"


def title_rate(owner: str) -> str:
    """String: the same for the owner's titles."""
    return f"mamba:owner:{_digest(owner)}:title-rate"


def live_runs(owner: str) -> str:
    """Sorted set: the owner's live runs, by admission time."""
    return f"mamba:owner:{_digest(owner)}:live"


def owner_bytes(owner: str) -> str:
    """Hash: the bytes that each of the owner's runs occupies, and their total."""
    return f"mamba:owner:{_digest(owner)}:bytes"


def owner_stored(owner: str) -> str:
    """Sorted set: the runs of this hash, by expiry."""
    return f"mamba:owner:{_digest(owner)}:stored"


def owner_usage(owner: str) -> str:
    """Hash: the owner's plan, and the tokens and cost of each current period."""
    return f"mamba:owner:{_digest(owner)}:usage"


def reserved_usage(owner: str) -> str:
    """Hash: what each of the owner's running model requests may still use, and the totals."""
    return f"mamba:owner:{_digest(owner)}:reserved"


def reservations(owner: str) -> str:
    """Sorted set: the runs of this hash, by expiry."""
    return f"mamba:owner:{_digest(owner)}:reservations"


def counted_usage(run_id: str) -> str:
    """Hash: what each attempt of a run has used, in all and before the current periods."""
    return f"mamba:usage:{run_id}"


def idempotency(owner: str, key: str) -> str:
    """Hash: the run that the request with this key started, and the request's fingerprint."""
    return f"mamba:idempotency:{_digest(owner, key)}"


def queue(name: str) -> str:
    """Sorted set: the jobs of a queue, by due time."""
    return QUEUE if name == MAIN_QUEUE else f"{QUEUE}s:{name}"


def queue_name(key: str) -> str:
    """The name of the queue with this key."""
    return MAIN_QUEUE if key == QUEUE else key.removeprefix(f"{QUEUE}s:")


def due_times(queue: str) -> str:
    """Sorted set: the interactive jobs that wait in fair order, by when they became due."""
    return f"{queue}:due"


def background_due_times(queue: str) -> str:
    """Sorted set: the same for background jobs."""
    return f"{queue}:due:background"


def processing_paused(queue: str) -> str:
    """List: one entry while the processing of this queue is paused. KEDA reads its length."""
    return f"{queue}:paused"


def virtual_clock(queue: str) -> str:
    """Hash: the virtual times of a queue, the mean durations of its jobs, and more."""
    return f"{queue}:clock"


def fair_owner(queue: str, owner: str) -> str:
    """Hash: the virtual finish time and weight of an owner, and the mean duration of the jobs."""
    return f"{queue}:owner:{_digest(owner)}"


def background_owner(queue: str, owner: str) -> str:
    """Hash: the same for the owner's background jobs. Scripts recognize it by its end."""
    return f"{fair_owner(queue, owner)}:background"


def owner_jobs(fair_owner: str) -> str:
    """Sorted set: an owner's jobs that wait in fair order, by their number."""
    return f"{fair_owner}:jobs"


def waiting_owners(queue: str) -> str:
    """Sorted set: the owners of jobs that wait in fair order, by the number of these jobs."""
    return f"{queue}:owners"


def webhook(run_id: str) -> str:
    """Hash: the webhook of an ended run, and the state of its delivery to each destination."""
    return f"mamba:webhooks:run:{run_id}"


def webhook_due(destination: str) -> str:
    """Sorted set: the ids of runs, by when their webhook is sent to the destination next."""
    return f"mamba:webhooks:due:{destination}"


def webhook_failed(destination: str) -> str:
    """Sorted set: the ids of runs whose webhook was given up, by that time."""
    return f"mamba:webhooks:failed:{destination}"


def title(title_id: str) -> str:
    """String: a generated title. Also the channel that it is published on."""
    return f"mamba:title:{title_id}"


def wakeup(queue: str) -> str:
    """List: wakeup tokens. Each wakes one idle worker."""
    return f"{queue}:wake"


def worker_wakeup(worker_id: str) -> str:
    """List: a token that ends the wait of a draining worker."""
    return f"mamba:worker:{worker_id}:wake"


def worker_commands(worker_id: str) -> str:
    """Channel: the commands to a worker."""
    return f"mamba:worker:{worker_id}"


def worker_record(worker_id: str) -> str:
    """String: the record of a live worker."""
    return f"mamba:worker:{worker_id}:record"


def api_record(api_id: str) -> str:
    """String: the record of a live API process."""
    return f"mamba:api:{api_id}:record"


def final_counters(process_id: str) -> str:
    """String: the final counters of a process that has stopped, for a short time."""
    return f"mamba:counters:{process_id}"


def job(run_id: str) -> str:
    return f"{job_key_prefix}{run_id}"


def lease(run_id: str) -> str:
    """String: the id of the worker that holds the job. It expires unless it is renewed."""
    return f"{in_progress_key_prefix}{run_id}"


def _digest(owner: str, rest: str = "") -> str:
    return sha256(f"{len(owner)}:{owner}:{rest}".encode()).hexdigest()
