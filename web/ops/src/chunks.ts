/** A run's events, put together to what they say: the UI message stream of the AI SDK. */

export type Part =
  | { kind: 'text' | 'reasoning'; id: string; text: string; done: boolean }
  | { kind: 'tool'; id: string; name: string; input: string; output: string; state: ToolState }
  | { kind: 'note'; id: string; text: string; bad: boolean };

export type ToolState = 'called' | 'running' | 'done' | 'failed' | 'waits for approval' | 'denied';

export interface Answer {
  parts: Part[];
  events: number;
  /** How it has ended; empty while it is being made. */
  end: '' | 'finish' | 'abort' | 'error';
}

type Chunk = Record<string, unknown> & { type: string };

export function emptyAnswer(): Answer {
  return { parts: [], events: 0, end: '' };
}

/** Take one event in. Whatever it holds is shown as text, or not at all. */
export function take(answer: Answer, data: string): void {
  if (data === '[DONE]') return;
  const chunk = JSON.parse(data) as Chunk;
  answer.events += 1;
  const { type } = chunk;
  if (type.startsWith('text-')) spoken(answer, 'text', chunk);
  else if (type.startsWith('reasoning-')) spoken(answer, 'reasoning', chunk);
  else if (type.startsWith('tool-')) called(answer, chunk);
  else if (type.startsWith('data-')) told(answer, chunk);
  else if (type.startsWith('source-')) note(answer, `Source: ${text(chunk['title'] ?? chunk['url'])}`);
  else if (type === 'file') note(answer, `File: ${text(chunk['mediaType'])}`);
  else if (type === 'error') {
    note(answer, text(chunk['errorText']), true);
    answer.end = 'error';
  } else if (type === 'abort') {
    note(answer, 'Stopped.');
    answer.end = 'abort';
  } else if (type === 'finish') answer.end = 'finish';
}

function spoken(answer: Answer, kind: 'text' | 'reasoning', chunk: Chunk): void {
  const id = `${kind}:${text(chunk['id'])}`;
  let part = answer.parts.findLast((each) => each.kind === kind && each.id === id && !each.done);
  if (!part || part.kind !== kind) {
    part = { kind, id, text: '', done: false };
    answer.parts.push(part);
  }
  if (chunk.type.endsWith('-delta')) part.text += text(chunk['delta']);
  if (chunk.type.endsWith('-end')) part.done = true;
}

function called(answer: Answer, chunk: Chunk): void {
  const id = text(chunk['toolCallId']);
  let part = answer.parts.find((each) => each.kind === 'tool' && each.id === id);
  if (!part || part.kind !== 'tool') {
    part = { kind: 'tool', id, name: '', input: '', output: '', state: 'called' };
    answer.parts.push(part);
  }
  if (chunk['toolName'] !== undefined) part.name = text(chunk['toolName']);
  switch (chunk.type) {
    case 'tool-input-delta':
      part.input += text(chunk['inputTextDelta']);
      break;
    case 'tool-input-available':
      part.input = text(chunk['input']);
      part.state = 'running';
      break;
    case 'tool-output-available':
      part.output = text(chunk['output']);
      part.state = 'done';
      break;
    case 'tool-input-error':
    case 'tool-output-error':
      part.output = text(chunk['errorText']);
      part.state = 'failed';
      break;
    case 'tool-approval-request':
      part.state = 'waits for approval';
      break;
    case 'tool-output-denied':
      part.state = 'denied';
      break;
  }
}

/** Of our own parts: where it stands in the queue, and the code of a failure. */
function told(answer: Answer, chunk: Chunk): void {
  const data = (chunk['data'] ?? {}) as Record<string, unknown>;
  if (chunk.type === 'data-error') note(answer, `Code: ${text(data['code'])}`, true);
  else if (chunk.type !== 'data-queue') note(answer, `${chunk.type}: ${text(chunk['data'])}`);
}

function note(answer: Answer, words: string, bad = false): void {
  answer.parts.push({ kind: 'note', id: `note:${answer.parts.length}`, text: words, bad });
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === undefined ? '' : JSON.stringify(value, null, 2);
}
