"""Every Redis key there is. Nothing else spells one; every key has a TTL from its first write.

A run's two keys share the hash tag `{run id}`, so that they live on one node of a cluster. All
others stay on the queue's node; the queue's own (`arq:…`) are arq's.
"""

from hashlib import sha256

from arq.constants import in_progress_key_prefix, job_key_prefix, retry_key_prefix

QUEUE = "mamba:queue"
#: Sorted set: the ids of the workers, by when they count as gone.
WORKERS = "mamba:workers"
#: Sorted set: the ids of the API processes, by when they count as gone.
API_PROCESSES = "mamba:apis"
#: The name of that queue among the agents' own.
MAIN_QUEUE = "main"
#: Hash: the newest report of each provider, by its name.
PROVIDERS = "mamba:providers"
#: Hash: the newest card of each agent that workers offer, by its name.
AGENTS = "mamba:agents"
#: String: the worker whose turn it is to ask the providers.
PROBE_LEADER = "mamba:providers:leader"
#: Stream: the house every few seconds, for an hour.
SAMPLES = "mamba:samples"
#: String: the process whose turn it is to add a sample.
SAMPLE_LEADER = "mamba:samples:leader"
#: String: what each process had counted at the last sample.
SAMPLE_COUNTERS = "mamba:samples:counters"
#: List: the ids of the runs that failed, the newest first.
FAILED_RUNS = "mamba:failed"


def run(run_id: str) -> str:
    """Hash: the run's state, owner, attempts and times."""
    return f"mamba:run:{{{run_id}}}"


def stream(run_id: str) -> str:
    """Stream: the run's log. Its name is also the channel that each append is published on."""
    return f"mamba:run:{{{run_id}}}:stream"


def admitted(run_id: str) -> str:
    """String: what a run supersedes that was let in. Only where runs are apart from the queue."""
    return f"mamba:admitted:{run_id}"


def chat(owner: str, chat_id: str) -> str:
    """String: the id of the newest run of an owner's chat. Hashed: both parts are foreign text."""
    return f"mamba:chat:{_digest(owner, chat_id)}"


def rate(owner: str) -> str:
    """String: when the owner's token bucket is full again, in microseconds."""
    return f"mamba:owner:{_digest(owner)}:rate"


def title_rate(owner: str) -> str:
    """String: as `rate`, of the owner's titles."""
    return f"mamba:owner:{_digest(owner)}:title-rate"


def live_runs(owner: str) -> str:
    """Zset: the owner's live runs, by the time they were let in."""
    return f"mamba:owner:{_digest(owner)}:live"


def idempotency(owner: str, key: str) -> str:
    """Hash: the run that a request with this key led to, and what it asked for."""
    return f"mamba:idempotency:{_digest(owner, key)}"


def queue(name: str) -> str:
    """Zset: the jobs of a queue, by due time."""
    return QUEUE if name == MAIN_QUEUE else f"{QUEUE}s:{name}"


def queue_name(key: str) -> str:
    """The name of the queue that has this key."""
    return MAIN_QUEUE if key == QUEUE else key.removeprefix(f"{QUEUE}s:")


def title(title_id: str) -> str:
    """String: a title that was made. Its name is also the channel that it is published on."""
    return f"mamba:title:{title_id}"


def wake(queue: str) -> str:
    """List: tokens, each of which wakes one idle worker."""
    return f"{queue}:wake"


def worker(worker_id: str) -> str:
    """String: a live worker's health line. Its name is also the channel it takes orders on."""
    return f"mamba:worker:{worker_id}"


def worker_record(worker_id: str) -> str:
    """String: what a live worker says of itself."""
    return f"mamba:worker:{worker_id}:record"


def api_record(api_id: str) -> str:
    """String: what a live API process says of itself."""
    return f"mamba:api:{api_id}:record"


def final_counters(process_id: str) -> str:
    """String: what a process had counted when it left, for a short while."""
    return f"mamba:counters:{process_id}"


def job(run_id: str) -> str:
    return f"{job_key_prefix}{run_id}"


def lease(run_id: str) -> str:
    """String: the id of the worker that runs the job, for as long as it renews it."""
    return f"{in_progress_key_prefix}{run_id}"


def tries(run_id: str) -> str:
    return f"{retry_key_prefix}{run_id}"


def _digest(owner: str, rest: str = "") -> str:
    return sha256(f"{len(owner)}:{owner}:{rest}".encode()).hexdigest()
