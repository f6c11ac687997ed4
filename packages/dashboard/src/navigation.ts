import { signal } from '@preact/signals';

/** Where the viewer is. */
export interface Place {
  readonly path: string;
  readonly query: URLSearchParams;
}

const root = '/dashboard';
/** How long a view may take to grow to where the viewer was. */
const growMs = 2_000;

/** The current place, without the leading `/dashboard`. */
export const place = signal<Place>(here());

/** Goes to a place of the dashboard (`/now`, `/requests/…`, `/trends?range=7d`). */
export function go(to: string, how: 'push' | 'replace' = 'push'): void {
  const url = root + to;
  const before = place.value.path;
  if (how === 'push') {
    keepScroll();
    history.pushState(null, '', url);
  } else history.replaceState(null, '', url);
  place.value = here();
  if (before !== place.value.path) scrollTo(0, 0);
}

/** Follows the browser's own back and forward, to where the viewer had scrolled. */
export function followHistory(): void {
  // The browser would scroll before the view is there again.
  history.scrollRestoration = 'manual';
  addEventListener('scrollend', keepScroll);
  addEventListener('popstate', ({ state }: PopStateEvent) => {
    place.value = here();
    scrollBackTo(scrollOf(state));
  });
  scrollBackTo(scrollOf(history.state));
}

/** Address of a place, for links. */
export function hrefOf(to: string): string {
  return root + to;
}

function here(): Place {
  const path = location.pathname.startsWith(root) ? location.pathname.slice(root.length) : location.pathname;
  return { path: path === '' ? '/now' : path, query: new URLSearchParams(location.search) };
}

function keepScroll(): void {
  history.replaceState({ scrollY }, '');
}

function scrollOf(state: unknown): number {
  if (typeof state !== 'object' || state === null || !('scrollY' in state)) return 0;
  return typeof state.scrollY === 'number' ? state.scrollY : 0;
}

function scrollBackTo(topPx: number): void {
  const url = location.href;
  const sinceMs = performance.now();
  const attempt = (): void => {
    if (location.href !== url) return;
    const isThere = document.documentElement.scrollHeight - innerHeight >= topPx;
    if (isThere || performance.now() - sinceMs > growMs) scrollTo(0, topPx);
    else requestAnimationFrame(attempt);
  };
  requestAnimationFrame(attempt);
}
