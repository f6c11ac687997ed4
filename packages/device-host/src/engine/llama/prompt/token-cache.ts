import type { Token } from 'node-llama-cpp';

/**
 * Tokens of the pieces of prompts, so that a conversation that has grown is read from where it ended. A prompt is cut
 * behind its control texts, where no vocabulary of the BPE kind joins what comes before with what follows.
 */
export class TokenCache {
  readonly #tokenize: (text: string) => readonly Token[];
  readonly #cut: RegExp | undefined;
  /** Oldest first. */
  readonly #pieces = new Map<string, readonly Token[]>();
  #chars = 0;

  constructor(controlTexts: readonly string[], tokenize: (text: string) => readonly Token[]) {
    const texts = controlTexts.filter((text) => text !== '').toSorted((a, b) => b.length - a.length);
    this.#cut = texts.length === 0 ? undefined : new RegExp(texts.map(escaped).join('|'), 'g');
    this.#tokenize = tokenize;
  }

  /** As the vocabulary itself would have it. */
  tokens(text: string): readonly Token[] {
    const all: Token[] = [];
    for (const piece of this.#piecesOf(text)) for (const token of this.#known(piece)) all.push(token);
    return all;
  }

  #piecesOf(text: string): readonly string[] {
    if (this.#cut === undefined) return [text];
    const pieces: string[] = [];
    let from = 0;
    for (const { 0: found, index } of text.matchAll(this.#cut)) {
      const to = index + found.length;
      pieces.push(text.slice(from, to));
      from = to;
    }
    if (from < text.length) pieces.push(text.slice(from));
    return pieces;
  }

  #known(piece: string): readonly Token[] {
    const known = this.#pieces.get(piece);
    if (known !== undefined) {
      this.#pieces.delete(piece);
      this.#pieces.set(piece, known);
      return known;
    }
    const tokens = this.#tokenize(piece);
    if (piece.length > mostChars / 4) return tokens;
    this.#pieces.set(piece, tokens);
    this.#chars += piece.length;
    for (const oldest of this.#pieces.keys()) {
      if (this.#chars <= mostChars) break;
      this.#pieces.delete(oldest);
      this.#chars -= oldest.length;
    }
    return tokens;
  }
}

/** Some tens of megabytes with their tokens. */
const mostChars = 4_000_000;

function escaped(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}
