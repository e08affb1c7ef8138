export interface Reconnect {
  /** Starts at 1, and again at 1 after each received event. */
  attempt: number;
  lastEventId: string | undefined;
}

export interface ResilientFetchOptions {
  /** Sends the requests. Default `globalThis.fetch`. */
  fetch?: typeof globalThis.fetch;
  /** Maximum delay before the first attempt in milliseconds. An SSE `retry:` line overrides it. Default 1000. */
  delay?: number;
  /** Maximum delay before any attempt in milliseconds. Default 30000. */
  maxDelay?: number;
  /** Attempts without a received event before the error is reported. Default 10. */
  tries?: number;
  /** The URL to resume the answer of a POST from. Default `{api}/{chatId}/stream`. */
  streamUrl?: (api: string, chatId: string) => string;
  /** Headers added to each attempt, such as a fresh token. */
  headers?: () => HeadersInit | Promise<HeadersInit>;
  /**
   * Whether a hidden page closes its connection, and resumes the answer when it is visible again. Default: only for
   * `http:` URLs, because browsers open six HTTP/1.1 connections to a host over all tabs.
   */
  releaseHidden?: boolean;
  /** Called before each attempt. */
  onReconnect?: (reconnect: Reconnect) => void;
}

/** A `fetch` whose event streams survive dropped connections. */
export function resilientFetch(options?: ResilientFetchOptions): typeof globalThis.fetch;

export function streamUrl(api: string, chatId: string): string;
