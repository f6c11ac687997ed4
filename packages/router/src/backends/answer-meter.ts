import { tokensOf } from '../core/token-estimate.ts';
import type { InferenceEvent, Usage } from '../core/events.ts';

/** Largest answer that is passed on; what goes beyond ends with `length`. */
export interface AnswerLimits {
  /** Of text, reasoning and tool arguments together; counted in UTF-16 units, which bytes exceed. */
  readonly answerBytes: number;
  readonly answerTokens: number;
}

/** Measures an answer as it passes. Tokens are counted where the backend scores them, else a delta counts as one. */
export class AnswerMeter {
  #units = 0;
  #scores = 0;
  #deltas = 0;
  #hasAnswer = false;

  /** Whether there was any text, refusal or call; reasoning alone is no answer. */
  get hasAnswer(): boolean {
    return this.#hasAnswer;
  }

  /** Adds one event; O(1). */
  add(event: InferenceEvent): void {
    switch (event.type) {
      case 'text-delta':
      case 'reasoning-delta':
      case 'refusal-delta':
        this.#units += event.text.length;
        this.#hasAnswer ||= event.type !== 'reasoning-delta' && event.text !== '';
        this.#deltas++;
        return;
      case 'tool-call-delta':
        this.#units += event.json.length;
        this.#deltas++;
        return;
      case 'image':
        this.#units += event.url.length;
        this.#hasAnswer = true;
        return;
      case 'tool-call-start':
        this.#hasAnswer = true;
        return;
      case 'token-scores':
        this.#scores += event.scores.length;
        return;
      default:
    }
  }

  exceeds(limits: AnswerLimits): boolean {
    return this.#units > limits.answerBytes || Math.max(this.#scores, this.#deltas) > limits.answerTokens;
  }

  /** Usage for an answer whose backend never gave any. */
  estimate(promptTokens: number): Usage {
    return { promptTokens, completionTokens: this.#scores > 0 ? this.#scores : tokensOf(this.#units), estimated: true };
  }
}
