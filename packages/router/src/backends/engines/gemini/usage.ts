import type { Usage } from '../../../core/events.ts';

type Counts = Readonly<Record<string, unknown>>;

/** Sums up the counts of one answer. Streams send them several times, not always all of them: the largest holds. */
export class UsageMeter {
  #prompt = 0;
  #candidates = 0;
  #thoughts = 0;
  #cached = 0;
  #writtenCharacters = 0;

  add(counts: Counts | null | undefined): void {
    if (counts === null || counts === undefined) return;
    this.#prompt = Math.max(this.#prompt, count(counts['promptTokenCount']));
    this.#candidates = Math.max(this.#candidates, count(counts['candidatesTokenCount']));
    this.#thoughts = Math.max(this.#thoughts, count(counts['thoughtsTokenCount']));
    this.#cached = Math.max(this.#cached, count(counts['cachedContentTokenCount']));
  }

  /** Text given to the client, for an estimate where no counts come. */
  wrote(characters: number): void {
    this.#writtenCharacters += characters;
  }

  /** The prompt's count includes what was cached; the completion's includes thoughts. */
  read(promptCharacters: number): Usage {
    if (this.#prompt === 0) return this.#estimate(promptCharacters);
    return {
      promptTokens: this.#prompt,
      completionTokens: this.#candidates + this.#thoughts,
      ...(this.#thoughts === 0 ? {} : { reasoningTokens: this.#thoughts }),
      ...(this.#cached === 0 ? {} : { cachedTokens: Math.min(this.#cached, this.#prompt) }),
    };
  }

  #estimate(promptCharacters: number): Usage {
    const written = this.#candidates === 0 ? estimateTokens(this.#writtenCharacters) : this.#candidates;
    return {
      promptTokens: estimateTokens(promptCharacters),
      completionTokens: written + this.#thoughts,
      ...(this.#thoughts === 0 ? {} : { reasoningTokens: this.#thoughts }),
      estimated: true,
    };
  }
}

/** Google's rule of thumb for Gemini: four characters a token. */
export function estimateTokens(characters: number): number {
  return Math.ceil(characters / 4);
}

/** Counts come from outside: negative, fractional, infinite or textual ones say nothing. */
function count(value: unknown): number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value > 0 ? value : 0;
}
