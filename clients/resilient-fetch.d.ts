export interface Reconnect {
  /** Counted from 1 anew whenever an event has arrived. */
  attempt: number;
  lastEventId: string | undefined;
}

export interface ResilientFetchOptions {
  /** What to send requests with; `globalThis.fetch` by default. */
  fetch?: typeof globalThis.fetch;
  /** Milliseconds before the first attempt, at most; an SSE `retry:` line overrides it. Default 1000. */
  delay?: number;
  /** Milliseconds that no wait exceeds. Default 30000. */
  maxDelay?: number;
  /** Attempts without a single event before the drop is reported. Default 10. */
  tries?: number;
  /** Where a POST's answer is taken up again. Default `{api}/{chatId}/stream`. */
  streamUrl?: (api: string, chatId: string) => string;
  /** Laid over the request's own headers at each attempt: a token that is still valid then. */
  headers?: () => HeadersInit | Promise<HeadersInit>;
  /** Called before each attempt. */
  onReconnect?: (reconnect: Reconnect) => void;
}

/** A `fetch` whose event streams survive dropped connections. */
export function resilientFetch(options?: ResilientFetchOptions): typeof globalThis.fetch;

export function streamUrl(api: string, chatId: string): string;
