/** Server-sent events over `fetch`, which can send headers; `EventSource` cannot. */

export interface ServerEvent {
  id: string;
  type: string;
  data: string;
}

/** Yield each event as it arrives, until the response ends. Throws if the connection breaks. */
export async function* readEvents(response: Response): AsyncGenerator<ServerEvent> {
  if (!response.body) return;
  let buffer = '';
  for await (const text of response.body.pipeThrough(new TextDecoderStream())) {
    buffer += text;
    const blocks = buffer.split('\n\n');
    buffer = blocks.pop() ?? '';
    for (const block of blocks) yield parse(block);
  }
}

/** A block with only a comment becomes an event without data; it shows that the connection works. */
function parse(block: string): ServerEvent {
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
