/** Asks for a key or token, and says why the one at hand does not do. */

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { forgetKey, hasKey, refused, useKey } from '../access';
import { reconnect } from '../house';
import type { Problem } from '../wire';

export function SignIn({ problem }: { problem: Problem }) {
  const key = useSignal('');
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const asked = problem.status === 401 && !hasKey.value;
  const submit = (event: Event) => {
    event.preventDefault();
    if (!key.value.trim()) return;
    useKey(key.value.trim());
    reconnect();
  };
  const again = () => {
    forgetKey();
    refused.value = null;
    reconnect();
  };
  return (
    <main class="sign-in">
      <form class="card" onSubmit={submit}>
        <h1>Mamba console</h1>
        {asked ? (
          <p>The server asks who you are. The console needs the scope <code>operator</code>.</p>
        ) : (
          <div class="problem" role="alert">
            <p>{problem.detail}</p>
            <Remedy problem={problem} />
          </div>
        )}
        <label for="key">API key or token</label>
        <input
          id="key"
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={key.value}
          onInput={(event) => (key.value = event.currentTarget.value)}
          ref={field}
        />
        <p class="muted">It stays in this tab, until the tab is closed or you sign out.</p>
        <button type="submit" class="primary">
          Open the console
        </button>
        {!asked && (
          <button type="button" class="quiet" onClick={again}>
            Try again
          </button>
        )}
      </form>
    </main>
  );
}

function Remedy({ problem }: { problem: Problem }) {
  if (problem.status === 401) return <p class="muted">Enter another one, or make one: <code>mamba key</code>.</p>;
  if (!hasKey.value) return null;
  return (
    <p class="muted">
      In mode api_key add <code>operator</code> to the scopes of its entry in <code>auth.api_keys</code>; in
      mode jwt have the issuer put it into the token's scope claim.
    </p>
  );
}
