import type { Connection } from '@mamba-server/client';

export function ConnectionStatus({ connection, busy }: { connection: Connection; busy: boolean }) {
  const [kind, text] = describe(connection, busy);
  return (
    <p className={`connection ${kind}`} role="status">
      <i aria-hidden="true" />
      {text}
    </p>
  );
}

function describe(connection: Connection, busy: boolean): [kind: string, text: string] {
  switch (connection.state) {
    case 'live':
      return ['live', 'Live'];
    case 'connecting':
      return ['', 'Connecting'];
    case 'queued':
      return ['', `Number ${connection.position} of ${connection.waiting} in the queue`];
    case 'retrying':
      return ['lost', connection.offline ? 'Offline' : 'Reconnecting'];
    case 'idle':
      return ['', busy ? 'Connecting' : 'Ready'];
  }
}
