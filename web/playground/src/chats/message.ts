import type { DisplayTools, MambaData, MambaMetadata } from '@mamba-server/client';
import type { UIMessage } from 'ai';

export type Message = UIMessage<MambaMetadata, MambaData, DisplayTools>;
export type Part = Message['parts'][number];

export function textOf(message: Message): string {
  return message.parts.map((part) => (part.type === 'text' ? part.text : '')).join('');
}
