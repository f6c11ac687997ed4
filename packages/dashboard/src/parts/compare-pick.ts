import { signal } from '@preact/signals';
import { go } from '../navigation.ts';

/** Two of these are laid side by side; `undefined` while nobody compares. */
export const picked = signal<readonly string[] | undefined>(undefined);

/** Leads to the list, where another one is ticked. */
export function compareWith(id: string): void {
  picked.value = [id];
  go('/requests');
}

/** Takes one in or out; with the second it goes on to both. */
export function togglePicked(id: string): void {
  const before = picked.value ?? [];
  const now = before.includes(id) ? before.filter((other) => other !== id) : [...before, id];
  picked.value = now;
  const [a = '', b] = now;
  if (b === undefined) return;
  picked.value = undefined;
  go(`/compare?a=${encodeURIComponent(a)}&b=${encodeURIComponent(b)}`);
}
