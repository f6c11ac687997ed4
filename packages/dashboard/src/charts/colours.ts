/** A colour of the style sheet, as a canvas needs it. */
export function colourOf(name: string): string {
  const probe = document.createElement('i');
  probe.style.setProperty('color', `var(--${name})`);
  document.body.append(probe);
  const { color } = getComputedStyle(probe);
  probe.remove();
  return color;
}

/** Calls when the viewer switches between light and dark; the returned function stops that. */
export function onSchemeChange(run: () => void): () => void {
  const dark = matchMedia('(prefers-color-scheme: dark)');
  dark.addEventListener('change', run);
  addEventListener('lfo:theme', run);
  return () => {
    dark.removeEventListener('change', run);
    removeEventListener('lfo:theme', run);
  };
}
