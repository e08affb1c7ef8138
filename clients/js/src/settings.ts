import type { Connection } from './connection/connection.js';

export interface HeadersRequest {
  /** Whether the server has refused the previous headers with 401. */
  refresh: boolean;
}

export type HeadersSource = HeadersInit | ((request: HeadersRequest) => HeadersInit | Promise<HeadersInit>);

export interface ConnectionOptions {
  /** Sends the requests. Default `globalThis.fetch`. */
  fetch?: typeof globalThis.fetch;
  /**
   * Headers of every request. A function is called before each request, and once more if the server
   * responds with 401, so it can return a fresh token.
   */
  headers?: HeadersSource;
  /** Maximum delay before the first reconnect in milliseconds. An SSE `retry:` line overrides it. Default 500. */
  delay?: number;
  /** Maximum delay between two reconnects in milliseconds. Default 10,000. */
  maxDelay?: number;
  /**
   * Time without any data after which a connection is considered broken, in milliseconds. Default
   * 45,000: three times `server.heartbeat_seconds`.
   */
  maxSilence?: number;
  /** How long to reconnect in milliseconds. Default 3,600,000, the default of `run.retention_seconds`. */
  maxDowntime?: number;
  /** How long to repeat a request that has no response yet, in milliseconds. Default 30,000. */
  maxSendTime?: number;
  /**
   * Whether a hidden page closes its connection, and resumes the answer when it is visible again. Default: only for
   * `http:` URLs, because browsers open six HTTP/1.1 connections to a host over all tabs.
   */
  releaseHidden?: boolean;
  /** Whether to check that the answer is complete and unchanged. Default true. */
  verify?: boolean;
  /** The URL to resume the answer of a POST from. Default `{api}/{chatId}/stream`. */
  streamUrl?: (api: string, chatId: string) => string;
  /** Called when the state of a chat's connection changes. */
  onConnection?: (connection: Connection, chatId: string | undefined) => void;
}

export interface ConnectionSettings {
  fetch: typeof globalThis.fetch;
  headers: HeadersSource | undefined;
  delay: number;
  maxDelay: number;
  maxSilence: number;
  maxDowntime: number;
  maxSendTime: number;
  releaseHidden: boolean | undefined;
  verify: boolean;
  streamUrl: (api: string, chatId: string) => string;
}

export function connectionSettings(options: ConnectionOptions): ConnectionSettings {
  return {
    fetch: options.fetch ?? ((input, init) => globalThis.fetch(input, init)),
    headers: options.headers,
    delay: options.delay ?? 500,
    maxDelay: options.maxDelay ?? 10_000,
    maxSilence: options.maxSilence ?? 45_000,
    maxDowntime: options.maxDowntime ?? 3_600_000,
    maxSendTime: options.maxSendTime ?? 30_000,
    releaseHidden: options.releaseHidden,
    verify: options.verify ?? true,
    streamUrl: options.streamUrl ?? streamUrl,
  };
}

/** The URL to resume an answer from. Keeps the query string of `api`. */
export function streamUrl(api: string, chatId: string): string {
  return chatUrl(api, chatId, 'stream');
}

export function chatUrl(api: string, chatId: string, action: string): string {
  const [, path = '', query = ''] = /^([^?#]*)(\?[^#]*)?/.exec(api) ?? [];
  return `${path.replace(/\/$/, '')}/${encodeURIComponent(chatId)}/${action}${query}`;
}

export function withQuery(url: string, parameter: string): string {
  return `${url}${url.includes('?') ? '&' : '?'}${parameter}`;
}
