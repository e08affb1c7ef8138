// What the browser reports about the network and the page. Outside of a browser, nothing is reported.

export type PageReturn = 'online' | 'visible';

export function isOffline(): boolean {
  return globalThis.navigator?.onLine === false;
}

export function isHidden(): boolean {
  return globalThis.document?.visibilityState === 'hidden';
}

/** Calls the listener when the network returns, and when the page is visible or no longer frozen. */
export function onPageReturn(listener: (kind: PageReturn) => void): () => void {
  const online = () => listener('online');
  const visible = () => {
    if (!isHidden()) listener('visible');
  };
  const { window, document } = globalThis;
  window?.addEventListener('online', online);
  document?.addEventListener('visibilitychange', visible);
  document?.addEventListener('resume', visible);
  return () => {
    window?.removeEventListener('online', online);
    document?.removeEventListener('visibilitychange', visible);
    document?.removeEventListener('resume', visible);
  };
}

export function onPageHidden(listener: () => void): () => void {
  const hidden = () => {
    if (isHidden()) listener();
  };
  globalThis.document?.addEventListener('visibilitychange', hidden);
  return () => globalThis.document?.removeEventListener('visibilitychange', hidden);
}

/** Waits until the time has passed, the network returns, or the page is visible again. */
export function pause(milliseconds: number, signal: AbortSignal): Promise<void> {
  return untilReturn(signal, (resolve) => {
    const timer = setTimeout(resolve, milliseconds);
    return () => clearTimeout(timer);
  });
}

/** Waits until the page is visible. */
export async function untilVisible(signal: AbortSignal): Promise<void> {
  while (isHidden()) await untilReturn(signal, () => () => {});
}

function untilReturn(signal: AbortSignal, begin: (resolve: () => void) => () => void): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal.aborted) return reject(signal.reason);
    const end = (then: () => void) => () => {
      forget();
      cancel();
      signal.removeEventListener('abort', abort);
      then();
    };
    const abort = end(() => reject(signal.reason));
    const forget = onPageReturn(end(resolve));
    const cancel = begin(end(resolve));
    signal.addEventListener('abort', abort);
  });
}
