import { signal } from '@preact/signals';

/** Where the viewer is. */
export interface Place {
  readonly path: string;
  readonly query: URLSearchParams;
}

const root = '/dashboard';

/** The current place, without the leading `/dashboard`. */
export const place = signal<Place>(here());

/** Goes to a place of the dashboard (`/now`, `/requests/…`, `/trends?range=7d`). */
export function go(to: string, how: 'push' | 'replace' = 'push'): void {
  const url = root + to;
  if (how === 'push') history.pushState(null, '', url);
  else history.replaceState(null, '', url);
  const before = place.value.path;
  place.value = here();
  if (before !== place.value.path) scrollTo(0, 0);
}

/** Follows the browser's own back and forward. */
export function followHistory(): void {
  addEventListener('popstate', () => {
    place.value = here();
  });
}

/** Address of a place, for links. */
export function hrefOf(to: string): string {
  return root + to;
}

function here(): Place {
  const path = location.pathname.startsWith(root) ? location.pathname.slice(root.length) : location.pathname;
  return { path: path === '' ? '/now' : path, query: new URLSearchParams(location.search) };
}
