// The types of what the server sends. https://ai-sdk.dev/docs/ai-sdk-ui/stream-protocol

import type { Form } from './display_tools.js';

/** The data of `data-queue`: the run waits for a worker, or for earlier runs of its chat. */
export type QueuePosition = {
  /** Counts from 1. */
  position: number;
  waiting: number;
  /** Present if the run waits for earlier runs of its own chat; `position` then counts in that queue. */
  behind?: 'chat';
  /** The shortest and the longest likely wait, if the server can estimate it. */
  etaSeconds?: [low: number, high: number];
  /** Present while operators have paused the queue: no waiting run starts. */
  paused?: true;
};

/** The data of `data-error`, which precedes the `error` event of a failed run. */
export type RunErrorData = { code: string; requestId: string; retryable: boolean };

/** For `UIMessage<MambaMetadata, MambaData, DisplayTools>`. */
export type MambaData = { queue: QueuePosition; error: RunErrorData };

/** The metadata of a message. */
export type MambaMetadata = { mamba?: RunMetadata };

/**
 * `runId`, `model` and `createdAt` are present from the start, the other fields at the end. A run that continues a
 * message first sets those to `null`.
 */
export type RunMetadata = {
  runId?: string;
  /** At the start the requested model, at the end the one that answered. */
  model?: string;
  /** ISO 8601, UTC. */
  createdAt?: string;
  finishedAt?: string | null;
  /** Whether the answer was stopped or superseded before it was complete. */
  stopped?: boolean | null;
  /** The number of events up to the one that ended the run. */
  events?: number | null;
  usage?: { inputTokens?: number; outputTokens?: number; totalTokens?: number } | null;
  /** Present if the price of the model is known. */
  cost?: { amount: number; currency: string } | null;
  /** A hash of the text and the tool results, which this package checks. */
  digest?: string | null;
};

/** The body of a refused request (RFC 9457). */
export type ProblemDetails = {
  type?: string;
  title?: string;
  status?: number;
  code?: string;
  detail?: string;
  field?: string;
  request_id?: string;
};

/** What the server does with a message for a chat that has a live run. */
export type WhenBusy = 'reject' | 'supersede' | 'queue';

/** The class of a run. Background runs start after interactive ones. */
export type Priority = 'interactive' | 'background';

/** A chunk of the UI message stream. */
export type StreamChunk = { type: string; [field: string]: unknown };

/** A field of the display tool `generateForm`. */
export type FormField = Form['fields'][number];

/** Handles an action of a card that the application defines. */
export type Act = (name: string, values?: Record<string, string>) => void;
