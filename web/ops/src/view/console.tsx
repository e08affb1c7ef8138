/** The whole page. */

import { useSignal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { forgetKey, hasKey, refused } from '../access';
import * as format from '../format';
import { blind, link, overview, reconnect, retryAt, seenAt } from '../house';
import { openRun } from '../place';
import { nextTheme, theme } from '../theme';
import { Charts } from './charts';
import { Confirm, Told } from './dialog';
import { Icon, type IconName } from './icons';
import { Panel } from './panel';
import { FailedRuns, LiveRuns } from './runs';
import { SignIn } from './sign_in';
import { Apis, Queues, Workers } from './staff';
import { Strip } from './strip';

export function Console() {
  if (refused.value) return <SignIn problem={refused.value} />;
  const seen = overview.value;
  const stale = seen && (link.value === 'lost' || blind.value);
  return (
    <>
      <Head />
      <Banner />
      <main class={stale ? 'stale' : ''}>
        <Strip />
        <Charts />
        {seen && (
          <div class="columns">
            <div>
              <LiveRuns seen={seen} />
              <FailedRuns seen={seen} />
            </div>
            <div>
              <Queues seen={seen} />
              <Workers seen={seen} />
              <Apis seen={seen} />
            </div>
          </div>
        )}
      </main>
      {openRun.value && <Panel key={openRun.value} id={openRun.value} />}
      <Confirm />
      <Told />
    </>
  );
}

const THEME_ICONS: Record<string, IconName> = { light: 'sun', dark: 'moon', system: 'system' };

function Head() {
  return (
    <header class="head">
      <h1>
        Mamba <span>console</span>
      </h1>
      <Link />
      <button type="button" class="bare" onClick={nextTheme} aria-label={`Colours: ${theme.value}`} title={`Colours: ${theme.value}`}>
        <Icon name={THEME_ICONS[theme.value] ?? 'system'} />
      </button>
      {hasKey.value && (
        <button type="button" class="bare" onClick={signOut} aria-label="Sign out" title="Sign out">
          <Icon name="leave" />
        </button>
      )}
    </header>
  );
}

function signOut(): void {
  forgetKey();
  location.reload();
}

const LINKS = { connecting: 'Connecting', live: 'Live', lost: 'Connection lost' };

function Link() {
  return (
    <p class={`link ${link.value}`} role="status">
      <i aria-hidden="true" />
      {LINKS[link.value]}
    </p>
  );
}

/** Says what is wrong with what is shown. */
function Banner() {
  const now = useSignal(Date.now());
  const lost = link.value === 'lost';
  const away = blind.value;
  useEffect(() => {
    if (!lost && !away) return;
    now.value = Date.now();
    const timer = setInterval(() => (now.value = Date.now()), 500);
    return () => clearInterval(timer);
  }, [lost, away]);
  if (!lost && !away) return null;
  const old = seenAt.value ? `What is shown is ${format.age(now.value - seenAt.value)} old.` : '';
  const next = Math.max(0, Math.ceil((retryAt.value - now.value) / 1000));
  return (
    <div class="banner">
      <Icon name="warn" />
      <p>
        <span role="alert">{lost ? 'The connection to the server is lost.' : 'The server does not reach Redis.'}</span> {old}
      </p>
      {lost && (
        <>
          <span class="muted">{next ? `Again in ${next} s` : 'Connecting …'}</span>
          <button type="button" onClick={reconnect}>
            Connect now
          </button>
        </>
      )}
    </div>
  );
}
