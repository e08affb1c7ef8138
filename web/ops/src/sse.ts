/** Server-sent events from a `fetch`, which can send headers; `EventSource` cannot. */

export interface ServerEvent {
  id: string;
  type: string;
  data: string;
}

/** Each event as it arrives. Ends as the response does; throws if it breaks off. */
export async function* events(response: Response): AsyncGenerator<ServerEvent> {
  if (!response.body) return;
  let held = '';
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    held += text;
    const blocks = held.split('\n\n');
    held = blocks.pop() ?? '';
    for (const block of blocks) yield parsed(block);
  }
}

/** A comment alone is an event without data: it says that the connection is well. */
function parsed(block: string): ServerEvent {
  const event: ServerEvent = { id: '', type: 'message', data: '' };
  for (const line of block.split('\n')) {
    const [name, value] = split(line);
    if (name === 'id') event.id = value;
    else if (name === 'event') event.type = value;
    else if (name === 'data') event.data += event.data ? `\n${value}` : value;
  }
  return event;
}

function split(line: string): [string, string] {
  const at = line.indexOf(':');
  return at < 0 ? [line, ''] : [line.slice(0, at), line.slice(at + 1).replace(/^ /, '')];
}
