/** The layout of the page. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { authProblem, forgetKey, hasKey } from '../api/client';
import * as format from '../format';
import { connection, overview, receivedAt, reconnect, redisDown, retryAt } from '../system_state';
import { openRun } from '../navigation';
import { nextTheme, theme } from '../theme';
import { ApiProcesses } from './api_processes';
import { Charts } from './charts';
import { ConfirmDialog, OutcomeToast } from './confirm_dialog';
import { Icon, type IconName } from './icons';
import { Owners } from './owners';
import { Pauses, Queues } from './queues';
import { RunPanel } from './run_panel';
import { FailedRuns, LiveRuns } from './run_lists';
import { SignIn } from './sign_in';
import { StatusStrip } from './status_strip';
import { Workers } from './workers';

export function Console() {
  if (authProblem.value) return <SignIn problem={authProblem.value} />;
  const system = overview.value;
  const stale = system && (connection.value === 'lost' || redisDown.value);
  return (
    <>
      <Header />
      <Banner />
      {system && <Pauses system={system} />}
      <main class={stale ? 'stale' : ''}>
        <StatusStrip />
        <Charts />
        {system && (
          <div class="columns">
            <div>
              <LiveRuns system={system} />
              <Owners />
              <FailedRuns system={system} />
            </div>
            <div>
              <Queues system={system} />
              <Workers system={system} />
              <ApiProcesses system={system} />
            </div>
          </div>
        )}
      </main>
      {openRun.value && <RunPanel key={openRun.value} id={openRun.value} />}
      <ConfirmDialog />
      <OutcomeToast />
    </>
  );
}

const THEME_ICONS: Record<string, IconName> = { light: 'sun', dark: 'moon', system: 'system' };

function Header() {
  return (
    <header class="head">
      <h1>
        Mamba <span>console</span>
      </h1>
      <ConnectionStatus />
      <button type="button" class="bare" onClick={nextTheme} aria-label={`Theme: ${theme.value}`} title={`Theme: ${theme.value}`}>
        <Icon name={THEME_ICONS[theme.value] ?? 'system'} />
      </button>
      {hasKey.value && (
        <button type="button" class="bare" onClick={signOut} aria-label="Sign out" title="Sign out">
          <Icon name="signOut" />
        </button>
      )}
    </header>
  );
}

function signOut(): void {
  forgetKey();
  location.reload();
}

const CONNECTION_LABELS = { connecting: 'Connecting', live: 'Live', lost: 'Connection lost' };

function ConnectionStatus() {
  return (
    <p class={`connection ${connection.value}`} role="status">
      <i aria-hidden="true" />
      {CONNECTION_LABELS[connection.value]}
    </p>
  );
}

/** Explains why the page shows outdated data. */
function Banner() {
  const now = useSignal(Date.now());
  const lost = connection.value === 'lost';
  const down = redisDown.value;
  useEffect(() => {
    if (!lost && !down) return;
    now.value = Date.now();
    const timer = setInterval(() => (now.value = Date.now()), 500);
    return () => clearInterval(timer);
  }, [lost, down]);
  if (!lost && !down) return null;
  const age = receivedAt.value ? `This page shows data from ${format.age(now.value - receivedAt.value)} ago.` : '';
  const next = Math.max(0, Math.ceil((retryAt.value - now.value) / 1000));
  return (
    <div class="banner">
      <Icon name="warn" />
      <p>
        <span role="alert">{lost ? 'Connection to the server lost.' : 'The server cannot reach Redis.'}</span> {age}
      </p>
      {lost && (
        <>
          <span class="muted">{next ? `Retrying in ${next} s` : 'Connecting…'}</span>
          <button type="button" onClick={reconnect}>
            Reconnect now
          </button>
        </>
      )}
    </div>
  );
}
