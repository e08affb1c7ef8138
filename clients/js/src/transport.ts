import { ChatStream } from './chat_stream.js';
import { ConnectionStore, IDLE, type Connection } from './connection/connection.js';
import { MambaError, ProblemError } from './errors.js';
import { openStream, type OpenedStream } from './connection/open_stream.js';
import type { HttpRequest } from './connection/request.js';
import type { AnswerEvent } from './connection/resumable_stream.js';
import { addedTo, messageContinuedElsewhere } from './other_page.js';
import { RunStopper, type AcceptedRun, type StopOptions } from './run_stopper.js';
import { connectionSettings, withQuery, type ConnectionOptions, type ConnectionSettings } from './settings.js';
import type { Priority, WhenBusy } from './types.js';

export interface MambaChatTransportOptions extends ConnectionOptions {
  /** The URL of `POST /chat`. Default `/chat`. */
  api?: string;
  credentials?: RequestCredentials;
  /** Fields of each request body, such as `model`. */
  body?: object | (() => object | Promise<object>);
  /** Changes the body of each message, for example to send only the last message. */
  prepareBody?: (body: Record<string, unknown>) => object | Promise<object>;
  /**
   * What happens to a message for a chat with a live run. Default: the setting `chat.when_busy`. An edited
   * message and `regenerate()` always supersede the run, unless the body of that request sets `whenBusy`.
   */
  whenBusy?: WhenBusy;
  /**
   * The class of each run. The body of a request overrides it. `background` runs start after interactive ones,
   * and may wait for a long time. Default: that of the run that a request continues, or `interactive`.
   */
  priority?: Priority;
  /**
   * Whether `stop()` of the hook stops the run. Default true. `useChat` of `@ai-sdk/react` 4 also stops
   * a chat when its component is unmounted: call `release()` first to keep the run.
   */
  stopOnAbort?: boolean;
  /**
   * Whether a resume shows an answer that has ended. Default true. With false, a page that has the finished
   * answers does not receive the last one again.
   */
  resumeEnded?: boolean;
  /** Called if a run could not be stopped. Default: a warning in the console. */
  onStopError?: (error: unknown, chatId: string) => void;
}

interface RequestOptions {
  chatId: string;
  abortSignal?: AbortSignal | undefined;
  headers?: Record<string, string> | Headers | undefined;
  body?: object | undefined;
  metadata?: unknown;
}

interface SendOptions<Message> extends RequestOptions {
  trigger: 'submit-message' | 'regenerate-message';
  messageId: string | undefined;
  messages: Message[];
  abortSignal: AbortSignal | undefined;
}

interface ChatResponse {
  response: Response;
  stream: ReadableStream<any> | undefined;
}

/** Selects the events that the page shows. Calls `verify` when the run belongs to the page's message. */
type Select = (events: AsyncGenerator<AnswerEvent[]>, verify: () => void) => AsyncGenerator<AnswerEvent[]>;

/** A request of the AI SDK whose answer is being received. */
interface OpenChat {
  chatId: string;
  init: RequestInit;
  connection: Connection;
  /** Ends the connection. */
  life: AbortController;
  aborted: boolean;
  /** Whether an abort does not stop the run. */
  released: boolean;
  /** Whether the run may be that of another message, so that an abort must not stop it. */
  unverified: boolean;
}

/**
 * A chat transport for the AI SDK 5, 6 and 7.
 *
 * The chunks are typed `any`, because each version of the SDK has its own type of them.
 */
export class MambaChatTransport<Message = any> {
  /** The AI SDK 6 and 7 clear the message before they apply a resumed stream. */
  readonly resumeStreamIsReplay = true;
  readonly #options: MambaChatTransportOptions;
  readonly #settings: ConnectionSettings;
  readonly #api: string;
  readonly #connections = new ConnectionStore();
  readonly #stopper: RunStopper;
  readonly #open = new Set<OpenChat>();

  constructor(options: MambaChatTransportOptions = {}) {
    this.#options = options;
    this.#settings = connectionSettings(options);
    this.#api = options.api ?? '/chat';
    this.#stopper = new RunStopper(this.#settings);
  }

  /** Sends a message. Called by the AI SDK. */
  async sendMessages(options: SendOptions<Message>): Promise<ReadableStream<any>> {
    const body = await this.#body(options);
    const headers = new Headers(options.headers);
    headers.set('content-type', 'application/json');
    const init = this.#init(headers);
    await this.#settled(options);
    const post = { ...init, method: 'POST', body: JSON.stringify(body) };
    const { response, stream } = await this.#request({ url: this.#api, init: post }, options);
    return stream ?? this.#followOtherPage(await refusalOf(response), options);
  }

  /** Requests the whole answer of the chat's newest run. Called by the AI SDK. */
  async reconnectToStream(options: RequestOptions): Promise<ReadableStream<any> | null> {
    // An aborted request that this one replaces is not stopped: React's strict mode mounts a component twice.
    for (const chat of this.#open) {
      if (chat.aborted && chat.chatId === options.chatId) chat.released = true;
    }
    await this.#settled(options);
    const resumeUrl = this.#settings.streamUrl(this.#api, options.chatId);
    const url = this.#options.resumeEnded === false ? withQuery(resumeUrl, 'live=true') : resumeUrl;
    const init = this.#init(new Headers(options.headers));
    const { response, stream } = await this.#request({ url, init, resumeUrl }, options);
    if (response.status === 204) return null;
    if (!stream) throw await refusalOf(response);
    return stream;
  }

  /** Stops the chat's run. Resolves when it has ended. */
  async stop(chatId: string, options: StopOptions = {}): Promise<void> {
    await this.#stopper.stop({ api: this.#api, chatId, init: this.#init(new Headers()) }, Promise.resolve({}), options);
  }

  /**
   * Keeps the live runs of a chat, or of all chats, when the SDK aborts their requests: this page no
   * longer follows them.
   */
  release(chatId?: string): void {
    for (const chat of this.#open) {
      if (chatId === undefined || chat.chatId === chatId) chat.released = true;
    }
  }

  /** The state of a chat's connection, for `useSyncExternalStore`. */
  readonly connection = (chatId: string): Connection => this.#connections.get(chatId);

  /** Calls the listener when the state of a connection changes. Returns a function that removes it. */
  readonly subscribe = (listener: () => void): (() => void) => this.#connections.subscribe(listener);

  /** Receives the rest of a message that another page has continued. Throws the refusal if none has. */
  async #followOtherPage(refusal: MambaError, options: SendOptions<Message>): Promise<ReadableStream<any>> {
    const message = messageContinuedElsewhere(refusal, options.messages);
    if (!message) throw refusal;
    const url = this.#settings.streamUrl(this.#api, options.chatId);
    const init = this.#init(new Headers(options.headers));
    const select: Select = (events, verify) => addedTo(message, events, refusal, verify);
    const { response, stream } = await this.#request({ url, init }, options, select);
    if (stream) return stream;
    await response.body?.cancel();
    throw refusal;
  }

  #init(headers: Headers): RequestInit {
    const { credentials } = this.#options;
    return { headers, ...(credentials && { credentials }) };
  }

  /** Waits until the run of the chat that is being stopped has ended. */
  async #settled({ chatId, abortSignal }: RequestOptions): Promise<void> {
    await untilAborted(this.#stopper.settled(chatId), abortSignal, () => {});
  }

  async #request(
    request: Omit<HttpRequest, 'signal'>,
    options: RequestOptions,
    select?: Select,
  ): Promise<ChatResponse> {
    const { chatId, abortSignal } = options;
    // Nothing has been sent, so there is nothing to stop.
    abortSignal?.throwIfAborted();
    const { body: _, ...rest } = request.init;
    const life = new AbortController();
    const unverified = select !== undefined;
    const chat: OpenChat = { chatId, init: rest, connection: IDLE, life, aborted: false, released: false, unverified };
    this.#open.add(chat);
    const opened = this.#openStream(chat, { ...request, signal: life.signal });
    const close = () => this.#close(chat);
    const verify = () => void (chat.unverified = false);
    try {
      const { response, events } = await untilAborted(opened, abortSignal, () => this.#onAbort(chat, opened));
      if (!events) close();
      const selected = events && select ? select(events, verify) : events;
      const stream = selected && new ChatStream(selected).readable(close, (reason) => life.abort(reason));
      return { response, stream };
    } catch (error) {
      if (!chat.aborted) close();
      throw error;
    }
  }

  #openStream(chat: OpenChat, request: HttpRequest): Promise<OpenedStream> {
    return openStream(request, this.#settings, (connection) => {
      chat.connection = connection;
      this.#updateConnection(chat.chatId);
    });
  }

  #close(chat: OpenChat): void {
    this.#open.delete(chat);
    this.#updateConnection(chat.chatId);
  }

  /** The connection of a chat is that of its newest request whose answer is being received. */
  #updateConnection(chatId: string): void {
    const active = [...this.#open].filter((chat) => chat.chatId === chatId && chat.connection.state !== 'idle');
    const connection = active.at(-1)?.connection ?? IDLE;
    if (connection === this.#connections.get(chatId)) return;
    this.#connections.set(chatId, connection);
    this.#options.onConnection?.(connection, chatId);
  }

  /** Stops the run of this page's message, unless the page has released it or another request follows at once. */
  #onAbort(chat: OpenChat, opened: Promise<OpenedStream>): void {
    if (!this.#open.has(chat)) return;
    chat.aborted = true;
    const end = () => {
      this.#close(chat);
      chat.life.abort();
    };
    if (chat.released || chat.unverified || this.#options.stopOnAbort === false) return end();
    // The run of a refused request may belong to another page.
    const accepted = opened.then(({ response, events }) => (events ? runOf(response) : undefined), () => ({}));
    const stopping = Promise.resolve().then(async () => {
      if (!chat.released) await this.#stopper.stop({ ...chat, api: this.#api }, accepted);
    });
    void stopping.catch((error: unknown) => this.#onStopError(error, chat.chatId)).finally(end);
  }

  #onStopError(error: unknown, chatId: string): void {
    const { onStopError } = this.#options;
    if (onStopError) onStopError(error, chatId);
    else console.warn('The run could not be stopped.', error);
  }

  async #body(options: SendOptions<Message>): Promise<object> {
    const { body, priority } = this.#options;
    const { chatId: id, messages, trigger, messageId } = options;
    const extra: Record<string, unknown> = {
      ...(typeof body === 'function' ? await body() : body),
      ...options.body,
    };
    const busy = 'whenBusy' in extra || 'supersede' in extra ? {} : this.#whenBusy(options);
    const fields = { ...busy, ...(priority && { priority }), ...extra, id, messages, trigger, messageId };
    return (await this.#options.prepareBody?.(fields)) ?? fields;
  }

  #whenBusy({ trigger, messageId, messages }: SendOptions<Message>): { whenBusy?: WhenBusy } {
    const last = messages.at(-1) as { id?: string; role?: string } | undefined;
    const isEdit = messageId !== undefined && last?.id === messageId && last.role === 'user';
    if (trigger === 'regenerate-message' || isEdit) return { whenBusy: 'supersede' };
    return this.#options.whenBusy ? { whenBusy: this.#options.whenBusy } : {};
  }
}

function runOf(response: Response): AcceptedRun {
  return { runId: response.headers.get('x-run-id') ?? undefined };
}

async function refusalOf(response: Response): Promise<MambaError> {
  if (!response.ok) return ProblemError.from(response);
  await response.body?.cancel();
  return new MambaError('unexpected_response', 'The server did not respond with an event stream.');
}

/** Resolves with the promise, or rejects when the signal is aborted. `onAbort` is also called later. */
async function untilAborted<T>(
  promise: Promise<T>,
  signal: AbortSignal | undefined,
  onAbort: () => void,
): Promise<T> {
  if (!signal) return promise;
  signal.throwIfAborted();
  const aborted = new Promise<never>((_, reject) => {
    const abort = () => {
      onAbort();
      reject(signal.reason as Error);
    };
    signal.addEventListener('abort', abort, { once: true });
  });
  return Promise.race([promise, aborted]);
}
