/** A block of code of a page, as a reader would use it. */
export interface Snippet {
  readonly text: string;
  /** The file that its first line names, from the home folder. */
  readonly file: string | undefined;
}

/** The first block of code under a heading of this name. @throws Error where there is none */
export function snippetUnder(page: string, heading: string): Snippet {
  const lines = page.split('\n');
  const from = lines.findIndex((line) => /^#{2,4} /.test(line) && line.replace(/^#+ /, '') === heading);
  const after = from === -1 ? '' : lines.slice(from + 1).join('\n');
  const [section = ''] = after.split(/^#{2,4} /m);
  const text = /^```\w+\n([^]*?)\n```$/m.exec(section)?.[1];
  if (text === undefined) throw new Error(`The page has no code under "${heading}".`);
  const [first = ''] = text.split('\n');
  return { text, file: /^(?:#|\/\/) ~\/(\S+)$/.exec(first)?.[1] };
}

/** The same for a router at another address and another model than the page's. */
export function pointedAt(text: string, base: string, model: string): string {
  return text.replaceAll('http://localhost:8080', base).replaceAll('lfo-auto', model);
}
