import { go } from './navigation.ts';

/** `g` and a letter leads to a view; `/` to the search, `?` to this list. */
export const shortcuts: readonly (readonly [keys: string, what: string, to: string])[] = [
  ['g n', 'Now', '/now'],
  ['g r', 'Requests', '/requests'],
  ['g e', 'Errors', '/errors'],
  ['g t', 'Trends', '/trends'],
  ['g c', 'Confidence', '/confidence'],
  ['g f', 'Fleet', '/fleet'],
  ['g k', 'Keys', '/keys'],
  ['g p', 'Playground', '/playground'],
  ['g s', 'Settings', '/settings'],
];

const secondWithinMs = 1_500;

/** Listens until the returned function is called. `showHelp` opens the list. */
export function followShortcuts(showHelp: () => void): () => void {
  let leaderMs = -Infinity;
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.ctrlKey || event.metaKey || event.altKey || isTyping(event.target)) return;
    if (event.key === '?') return showHelp();
    if (event.key === '/') {
      event.preventDefault();
      go('/requests');
      requestAnimationFrame(() => document.querySelector<HTMLElement>('#search-id')?.focus());
      return;
    }
    const to =
      event.timeStamp - leaderMs < secondWithinMs && shortcuts.find(([keys]) => keys === `g ${event.key}`)?.[2];
    leaderMs = event.key === 'g' ? event.timeStamp : -Infinity;
    if (to) go(to);
  };
  addEventListener('keydown', onKeyDown);
  return () => removeEventListener('keydown', onKeyDown);
}

function isTyping(target: EventTarget | null): boolean {
  return target instanceof Element && target.matches('input, textarea, select, [contenteditable]');
}
