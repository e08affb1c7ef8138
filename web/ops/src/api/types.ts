/** Responses of the API, as in `shared/monitoring`. Times are Unix ms, rates per second. */

export type LiveState = 'waiting' | 'running' | 'deferred';
export type EndState = 'succeeded' | 'failed' | 'cancelled';

export interface QueueSnapshot {
  name: string;
  waiting: number;
  running: number;
  deferred: number;
  /** How many of the waiting runs are background runs. Missing from an older API process. */
  background?: number;
  oldest_wait_ms: number;
  /** Of a new interactive run; null if it cannot be estimated. */
  expected_wait_ms: number | null;
  /** Workers that serve it and are not draining, their slots, and those in use. */
  workers: number;
  slots: number;
  slots_used: number;
  /** Missing in the snapshot of an older API process. */
  intake_paused?: boolean;
  processing_paused?: boolean;
}

export type Pausable = 'intake' | 'processing';

/** What an operator has paused, in one queue or, without a name, in all of them. */
export interface Pause {
  what: Pausable;
  queue: string | null;
  at: number;
  operator: string;
}

/** The runs of an owner in one queue. */
export interface OwnerSnapshot {
  owner: string;
  queue: string;
  waiting: number;
  running: number;
  oldest_wait_ms: number;
  weight: number;
  /** Whether the row is about background runs. Missing from an older API process. */
  background?: boolean;
}

export interface OwnerRanking {
  /** Those with the most waiting runs first. */
  owners: OwnerSnapshot[];
  /** The number of all owners with waiting runs. */
  waiting_owners: number;
}

export interface WorkerSnapshot {
  id: string;
  host: string;
  pid: number;
  up_ms: number;
  queues: string[];
  running: number;
  concurrency: number;
  draining: boolean;
}

/** A worker that stopped without shutting down. */
export interface VanishedWorker {
  id: string;
  seen_at: number;
  host: string;
  pid: number;
  running: number;
}

export interface ApiSnapshot {
  id: string;
  host: string;
  pid: number;
  up_ms: number;
  clients: number;
}

/** The webhooks that a destination has not received. */
export interface WebhookSnapshot {
  destination: string;
  pending: number;
  /** Failed several times. */
  retrying: number;
  /** Given up. */
  failed: number;
}

export interface RedisSnapshot {
  up: boolean;
  latency_ms: number | null;
  memory_bytes: number | null;
  memory_limit_bytes: number | null;
}

export type Priority = 'interactive' | 'background';

export interface RunSummary {
  id: string;
  state: LiveState | EndState;
  agent: string;
  model: string;
  queue: string;
  /** Missing in the overview of an older API process. */
  priority?: Priority;
  attempts: number;
  age_ms: number;
  worker: string | null;
  error: string | null;
  ended_at: number | null;
}

export interface Sample {
  at: number;
  waiting: number;
  running: number;
  deferred: number;
  oldest_wait_ms: number;
  workers: number;
  slots: number;
  clients: number;
  accepted: number;
  succeeded: number;
  failed: number;
  cancelled: number;
  tokens: number;
  wait_p50_ms: number | null;
  wait_p95_ms: number | null;
  first_token_p50_ms: number | null;
  first_token_p95_ms: number | null;
}

export interface Overview {
  at: number;
  queues: QueueSnapshot[];
  /** Missing in the overview of an older API process. */
  pauses?: Pause[];
  workers: WorkerSnapshot[];
  apis: ApiSnapshot[];
  vanished: VanishedWorker[];
  /** Missing in the overview of an older API process. */
  webhooks?: WebhookSnapshot[];
  redis: RedisSnapshot;
  live: RunSummary[];
  failed: RunSummary[];
  samples: Sample[];
}

/** A run's record, with its worker and the length of its stream. */
export interface Run {
  id: string;
  chat_id: string;
  owner: string;
  agent: string;
  model: string;
  queue: string;
  priority?: Priority;
  request_id: string;
  state: 'queued' | 'running' | EndState;
  attempts: number;
  failures: number;
  handovers: number;
  error: string | null;
  admitted_at: number;
  started_at: number | null;
  ended_at: number | null;
  worker: string | null;
  last_worker: string | null;
  attempt_log: Attempt[];
  tokens: { input_tokens: number; cache_read_tokens: number; output_tokens: number } | null;
  upstream: string | null;
  events: number;
}

export interface Attempt {
  number: number;
  worker: string | null;
  started_at: number | null;
  outcome: string;
  code: string | null;
  ended_at: number | null;
}

export interface Problem {
  title: string;
  status: number;
  code: string;
  detail: string;
  request_id: string;
}
