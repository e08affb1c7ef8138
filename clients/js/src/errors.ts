// MambaError
// ├── ProblemError          the API refused the request
// ├── RunError              the run failed
// ├── ConnectionLostError   the server was unreachable for too long
// ├── IncompleteAnswerError the rest of the answer is no longer available
// └── IntegrityError        the received answer is not the one that the server sent
//
// None is a `TypeError`: the AI SDK takes a TypeError for a drop after which the next stream has only
// the rest of the answer. A resumed stream of this transport always has the whole answer.

import type { ProblemDetails, RunErrorData } from './types.js';

/** The base class of all errors of this package. `message` is a text for users. */
export class MambaError extends Error {
  override name = 'MambaError';
  /** A stable code, such as `rate_limited`. */
  readonly code: string;
  /** Whether the same request may succeed later. */
  readonly retryable: boolean;

  constructor(code: string, message: string, options: ErrorOptions & { retryable?: boolean } = {}) {
    super(message, options);
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** A refused request. `message` is the `detail` of the response. */
export class ProblemError extends MambaError {
  override name = 'ProblemError';
  readonly status: number;
  readonly title: string | undefined;
  /** The field of the request that is not valid. */
  readonly field: string | undefined;
  readonly requestId: string | undefined;
  /** Seconds. */
  readonly retryAfter: number | undefined;
  /** The whole body, if it is JSON. */
  readonly problem: ProblemDetails;

  constructor(response: Response, text: string) {
    const problem = parseProblem(text);
    const { status } = response;
    const message = problem.detail ?? problem.title ?? (text || `The server responded with ${status}.`);
    super(problem.code ?? `http_${status}`, message, { retryable: isTransient(status) });
    this.status = status;
    this.title = problem.title;
    this.field = problem.field;
    this.requestId = problem.request_id ?? response.headers.get('x-request-id') ?? undefined;
    this.retryAfter = retryAfterOf(response);
    this.problem = problem;
  }

  static async from(response: Response): Promise<ProblemError> {
    return new ProblemError(response, await response.text().catch(() => ''));
  }
}

/** A failed run. `message` is the text of its `error` event. */
export class RunError extends MambaError {
  override name = 'RunError';
  readonly requestId: string | undefined;

  constructor(message: string, data: Partial<RunErrorData> = {}) {
    super(data.code ?? 'unknown', message, { retryable: data.retryable ?? true });
    this.requestId = data.requestId;
  }
}

export class ConnectionLostError extends MambaError {
  override name = 'ConnectionLostError';

  constructor(cause: unknown) {
    super('connection_lost', 'The connection to the server was lost.', { cause, retryable: true });
  }
}

export class IncompleteAnswerError extends MambaError {
  override name = 'IncompleteAnswerError';

  constructor(cause?: unknown) {
    super('incomplete_answer', 'The rest of the answer is no longer available.', { cause });
  }
}

export class IntegrityError extends MambaError {
  override name = 'IntegrityError';

  constructor(kind: 'gap' | 'digest', message: string) {
    super(`integrity_${kind}`, message);
  }
}

/** Whether a later request may succeed: the server is overloaded, restarting or behind a failing proxy. */
export function isTransient(status: number): boolean {
  return status >= 500 || status === 408 || status === 429;
}

/** The seconds of the header `Retry-After`. */
export function retryAfterOf(response: Response): number | undefined {
  const seconds = Number(response.headers.get('retry-after') ?? NaN);
  return Number.isFinite(seconds) ? seconds : undefined;
}

function parseProblem(text: string): ProblemDetails {
  try {
    const body: unknown = JSON.parse(text);
    return body !== null && typeof body === 'object' ? body : {};
  } catch {
    return {};
  }
}
