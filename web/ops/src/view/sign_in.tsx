/** The sign-in form, with the problem of the current key or token. */

import { useSignal } from '@preact/signals';
import { useEffect, useRef } from 'preact/hooks';
import { authProblem, forgetKey, hasKey, useKey } from '../api/client';
import { reconnect } from '../system_state';
import type { Problem } from '../api/types';

export function SignIn({ problem }: { problem: Problem }) {
  const key = useSignal('');
  const field = useRef<HTMLInputElement>(null);
  useEffect(() => field.current?.focus(), []);
  const firstVisit = problem.status === 401 && !hasKey.value;
  const submit = (event: Event) => {
    event.preventDefault();
    if (!key.value.trim()) return;
    useKey(key.value.trim());
    reconnect();
  };
  const retry = () => {
    forgetKey();
    authProblem.value = null;
    reconnect();
  };
  return (
    <main class="sign-in">
      <form class="card" onSubmit={submit}>
        <h1>Mamba console</h1>
        {firstVisit ? (
          <p>Sign in with a key or token that has the scope <code>operator</code>.</p>
        ) : (
          <div class="problem" role="alert">
            <p>{problem.detail}</p>
            <Remedy problem={problem} />
          </div>
        )}
        <label for="key">API key or token</label>
        <input
          id="key"
          name="key"
          type="password"
          autocomplete="off"
          spellcheck={false}
          value={key.value}
          onInput={(event) => (key.value = event.currentTarget.value)}
          ref={field}
        />
        <p class="muted">The key is stored in this tab until you close it or sign out.</p>
        <button type="submit" class="primary">
          Open the console
        </button>
        {!firstVisit && (
          <button type="button" class="quiet" onClick={retry}>
            Try again
          </button>
        )}
      </form>
    </main>
  );
}

function Remedy({ problem }: { problem: Problem }) {
  if (problem.status === 401) return <p class="muted">Enter another key, or generate one with <code>mamba key</code>.</p>;
  if (!hasKey.value) return null;
  return (
    <p class="muted">
      In mode api_key, add <code>operator</code> to the scopes of the key in <code>auth.api_keys</code>. In mode
      jwt, the issuer must add it to the token's scope claim.
    </p>
  );
}
