/** A colour of the style sheet, as a canvas needs it. */
export function colourOf(name: string): string {
  return getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
}

/** Calls when the viewer switches between light and dark; the returned function stops that. */
export function onSchemeChange(run: () => void): () => void {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', run);
  return () => dark.removeEventListener('change', run);
}
