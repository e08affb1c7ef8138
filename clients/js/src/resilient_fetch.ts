import { chatIdOf, openStream } from './connection/open_stream.js';
import { linkAbort } from './connection/request.js';
import type { AnswerEvent } from './connection/resumable_stream.js';
import { connectionSettings, type ConnectionOptions } from './settings.js';

/**
 * Returns a `fetch` whose event streams survive dropped connections: the AI SDK receives one
 * uninterrupted body.
 */
export function resilientFetch(options: ConnectionOptions = {}): typeof globalThis.fetch {
  const settings = connectionSettings(options);
  return async (input, init = {}) => {
    const abort = new AbortController();
    if (init.signal) linkAbort(init.signal, abort);
    const chatId = chatIdOf(init.body);
    const request = { url: String(input), init, signal: abort.signal };
    const { response, events } = await openStream(request, settings, (connection) =>
      options.onConnection?.(connection, chatId),
    );
    return events ? new Response(bodyOf(events, abort), response) : response;
  };
}

function bodyOf(events: AsyncGenerator<AnswerEvent[]>, abort: AbortController): ReadableStream<Uint8Array> {
  const encoder = new TextEncoder();
  return new ReadableStream(
    {
      async pull(controller) {
        const { done, value } = await events.next();
        if (done) controller.close();
        else controller.enqueue(encoder.encode(value.map(({ raw }) => raw).join('')));
      },
      async cancel(reason) {
        abort.abort(reason);
        await events.return(undefined).catch(() => {});
      },
    },
    { highWaterMark: 0 },
  );
}
