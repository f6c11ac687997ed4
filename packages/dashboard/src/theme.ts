import { signal } from '@preact/signals';

export type Theme = 'auto' | 'light' | 'dark';

const stored = 'lfo-theme';

/** As the viewer chose, on this browser; `auto` follows the system. */
export const theme = signal<Theme>(readTheme());

export function chooseTheme(chosen: Theme): void {
  theme.value = chosen;
  localStorage.setItem(stored, chosen);
  applyTheme();
  // Canvases draw with colours of their own.
  dispatchEvent(new Event('lfo:theme'));
}

/** Call once before anything is drawn. */
export function applyTheme(): void {
  const { dataset } = document.documentElement;
  if (theme.value === 'auto') delete dataset['theme'];
  else dataset['theme'] = theme.value;
}

function readTheme(): Theme {
  const found = localStorage.getItem(stored);
  return found === 'light' || found === 'dark' ? found : 'auto';
}
