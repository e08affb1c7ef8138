/** Assembles an answer from the chunks of the AI SDK's UI message stream. */

export type Part =
  | { kind: 'text' | 'reasoning'; id: string; text: string; done: boolean }
  | { kind: 'tool'; id: string; name: string; input: string; output: string; state: ToolState }
  | { kind: 'note'; id: string; text: string; bad: boolean };

export type ToolState = 'called' | 'running' | 'done' | 'failed' | 'approval requested' | 'denied';

export interface Answer {
  parts: Part[];
  events: number;
  /** How the run ended; empty while it is running. */
  end: '' | 'finish' | 'abort' | 'error';
}

type Chunk = Record<string, unknown> & { type: string };

export function emptyAnswer(): Answer {
  return { parts: [], events: 0, end: '' };
}

/** Apply the data of one event. Its content is only ever shown as text. */
export function applyChunk(answer: Answer, data: string): void {
  if (data === '[DONE]') return;
  const chunk = JSON.parse(data) as Chunk;
  answer.events += 1;
  const { type } = chunk;
  if (type.startsWith('text-')) applyText(answer, 'text', chunk);
  else if (type.startsWith('reasoning-')) applyText(answer, 'reasoning', chunk);
  else if (type.startsWith('tool-')) applyTool(answer, chunk);
  else if (type.startsWith('data-')) applyData(answer, chunk);
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

function applyText(answer: Answer, kind: 'text' | 'reasoning', chunk: Chunk): void {
  const id = `${kind}:${text(chunk['id'])}`;
  let part = answer.parts.findLast((each) => each.kind === kind && each.id === id && !each.done);
  if (!part || part.kind !== kind) {
    part = { kind, id, text: '', done: false };
    answer.parts.push(part);
  }
  if (chunk.type.endsWith('-delta')) part.text += text(chunk['delta']);
  if (chunk.type.endsWith('-end')) part.done = true;
}

function applyTool(answer: Answer, chunk: Chunk): void {
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
      part.state = 'approval requested';
      break;
    case 'tool-output-denied':
      part.state = 'denied';
      break;
  }
}

/** Apply a custom part: Mamba sends the queue position and the code of a failure. */
function applyData(answer: Answer, chunk: Chunk): void {
  const data = (chunk['data'] ?? {}) as Record<string, unknown>;
  if (chunk.type === 'data-error') note(answer, `Code: ${text(data['code'])}`, true);
  else if (chunk.type !== 'data-queue') note(answer, `${chunk.type}: ${text(chunk['data'])}`);
}

function note(answer: Answer, message: string, bad = false): void {
  answer.parts.push({ kind: 'note', id: `note:${answer.parts.length}`, text: message, bad });
}

function text(value: unknown): string {
  if (typeof value === 'string') return value;
  return value === undefined ? '' : JSON.stringify(value, null, 2);
}
