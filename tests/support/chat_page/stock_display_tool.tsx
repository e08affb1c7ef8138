// The component of `stock_chat.tsx` that an application writes for its tools.

import type { UIMessage } from 'ai';

interface Props {
  part: UIMessage['parts'][number];
  send: (text: string) => void;
  act: (name: string) => void;
}

export function DisplayTool({ part, send, act }: Props) {
  if (!('output' in part)) return null;
  return (
    <pre>
      {JSON.stringify(part.output)}
      <button onClick={() => send('More')}>More</button> <button onClick={() => act('book')}>Book</button>
    </pre>
  );
}
