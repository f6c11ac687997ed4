/** One fenced block of a page. */
export interface Block {
  readonly page: string;
  /** Line of its opening fence, from 1. */
  readonly line: number;
  /** `js`, `sh` …; empty where none is named. */
  readonly language: string;
  readonly text: string;
}

/** The fenced blocks of a page in order. */
export function blocksOf(page: string, markdown: string): readonly Block[] {
  return Array.from(markdown.matchAll(/^( *)```(\w*)[^\n]*\n([^]*?)^\1```$/gm), (match) => ({
    page,
    line: markdown.slice(0, match.index).split('\n').length,
    language: match[2] ?? '',
    text: match[3] ?? '',
  }));
}

/** The simple commands of shell lines, each as its words: assignments before it, comments and redirections left out. */
export function commandsOf(script: string): readonly (readonly string[])[] {
  return script
    .replaceAll(/\\\n\s*/g, ' ')
    .split('\n')
    .flatMap((line) => partsOf(wordsOf(line)));
}

const separators: ReadonlySet<string> = new Set(['|', '||', '&&', ';', '&', '(', ')']);

function partsOf(words: readonly string[]): readonly (readonly string[])[] {
  const parts: string[][] = [[]];
  for (let index = 0; index < words.length; index++) {
    const word = words[index] ?? '';
    if (separators.has(word)) parts.push([]);
    else if (/^\d?[<>]/.test(word)) index += /[<>]$/.test(word) ? 1 : 0;
    else parts.at(-1)?.push(word);
  }
  return parts
    .map((part) => part.slice(part.findIndex((word) => !/^\w+=/.test(word))))
    .filter(({ length }) => length > 0);
}

/** Words of one line as a shell splits it, quotes taken away; enough for documents. */
function wordsOf(line: string): readonly string[] {
  const words: string[] = [];
  for (const [token] of line.matchAll(/#.*$|\|\||&&|[|;&()]|(?:"(?:\\.|[^"])*"|'[^']*'|\\.|[^\s|;&()"'])+/g)) {
    if (token.startsWith('#')) break;
    words.push(
      token.replaceAll(/"((?:\\.|[^"])*)"|'([^']*)'/g, (_, double?: string, single?: string) => double ?? single ?? ''),
    );
  }
  return words;
}
