/** A segment of a prompt; control tokens are recognised only where `isTemplate`. */
export interface PromptSegment {
  readonly text: string;
  readonly isTemplate: boolean;
}

/** What a model may have been trained to see as the marks of a call, whether or not its vocabulary calls them control. */
const toolMarks = [
  '<tool_call>',
  '</tool_call>',
  '<tool_response>',
  '</tool_response>',
  '<start_function_call>',
  '<end_function_call>',
  '<escape>',
];

/**
 * Keeps text from outside from turning into control tokens. Where a message contains the text of one, an unguessable
 * marker takes its place, survives the template's trimming and JSON encoding, and is set apart again afterwards.
 * All other text stays as it is, so templates that look into messages work.
 */
export class SpecialTextGuard {
  readonly #pattern: RegExp;
  readonly #nonce: string;
  readonly #found: string[] = [];

  /** `nonce` must be letters and digits no message can contain. */
  constructor(controlTexts: readonly string[], nonce: string) {
    const texts = [...new Set([...controlTexts, ...toolMarks])]
      .filter((text) => text !== '')
      .toSorted((a, b) => b.length - a.length);
    this.#pattern = new RegExp(texts.map(escapeForPattern).join('|'), 'g');
    this.#nonce = nonce;
  }

  /** The value with every string in it, keys included, made safe to render. */
  protect<T>(value: T): T;
  protect(value: unknown): unknown {
    if (typeof value === 'string') return this.#mark(value);
    if (Array.isArray(value)) return value.map((item) => this.protect<unknown>(item));
    if (typeof value !== 'object' || value === null) return value;
    return Object.fromEntries(
      Object.entries(value).map(([key, item]) => [this.#mark(key), this.protect<unknown>(item)]),
    );
  }

  /** Cuts rendered text at the markers and puts the original texts back as plain ones. */
  split(rendered: string): PromptSegment[] {
    const pieces = rendered.split(new RegExp(`${this.#nonce}(\\d+)z`));
    return pieces
      .flatMap((piece, index) => (index % 2 === 0 ? [{ text: piece, isTemplate: true }] : this.#plain(Number(piece))))
      .filter((segment) => segment.text !== '');
  }

  #mark(text: string): string {
    return text.replace(this.#pattern, (found) => `${this.#nonce}${this.#found.push(found) - 1}z`);
  }

  /** In two, because some vocabularies recognise these texts even in plain text. */
  #plain(index: number): PromptSegment[] {
    const text = this.#found[index] ?? '';
    return [
      { text: text.slice(0, 1), isTemplate: false },
      { text: text.slice(1), isTemplate: false },
    ];
  }
}

function escapeForPattern(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
