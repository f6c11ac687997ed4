/** A block of code of a page, as a reader would use it. */
export interface Snippet {
  readonly language: string;
  readonly text: string;
  /** The file that its first line names, from the home folder. */
  readonly file: string | undefined;
}

/** The first block of code under a heading of this name. @throws Error where there is none */
export function snippetUnder(page: string, heading: string): Snippet {
  const from = page.split('\n').findIndex((line) => /^#{2,4} /.test(line) && line.replace(/^#+ /, '') === heading);
  const after = page
    .split('\n')
    .slice(from + 1)
    .join('\n');
  const section = after.split(/^#{2,4} /m)[0] ?? '';
  const found = /^```(\w+)\n([^]*?)\n```$/m.exec(section);
  if (from === -1 || found?.[1] === undefined || found[2] === undefined) {
    throw new Error(`The page has no code under "${heading}".`);
  }
  const file = /^(?:#|\/\/) ~\/(\S+)$/m.exec(found[2].split('\n')[0] ?? '')?.[1];
  return { language: found[1], text: found[2], file };
}

/** The same for a router at another address and another model than the page's. */
export function pointedAt(text: string, base: string, model: string): string {
  return text.replaceAll('http://localhost:8080', base).replaceAll('lfo-auto', model);
}
