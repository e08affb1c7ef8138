/** A server-sent event, or a comment. */
export interface SseEvent {
  /** The text of the event with the empty line at its end. */
  raw: string;
  id: string | undefined;
  data: string | undefined;
  /** Milliseconds. */
  retry: number | undefined;
  /** The offset of the first event that the server merged into this one, from its comment. */
  from: number | undefined;
}

const EVENT_END = /\r?\n\r?\n/g;

/** Parses a stream of bytes, and yields the events that each read completes. */
export async function* parseSse(
  reader: ReadableStreamDefaultReader<Uint8Array>,
): AsyncGenerator<SseEvent[]> {
  const decoder = new TextDecoder();
  let text = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    text += decoder.decode(value, { stream: true });
    let start = 0;
    const events: SseEvent[] = [];
    for (const { index, 0: end } of text.matchAll(EVENT_END)) {
      events.push(parseEvent(text.slice(start, index + end.length)));
      start = index + end.length;
    }
    text = text.slice(start);
    yield events;
  }
}

function parseEvent(raw: string): SseEvent {
  const event: SseEvent = { raw, id: undefined, data: undefined, retry: undefined, from: undefined };
  for (const line of raw.split(/\r?\n/)) {
    const from = /^: from (\d+)$/.exec(line)?.[1];
    if (from !== undefined) event.from = Number(from);
    const [, name, value = ''] = /^([^:]+)(?:: ?(.*))?$/s.exec(line) ?? [];
    if (name === 'id') event.id = value;
    if (name === 'retry' && /^\d+$/.test(value)) event.retry = Number(value);
    if (name === 'data') event.data = event.data === undefined ? value : `${event.data}\n${value}`;
  }
  return event;
}
