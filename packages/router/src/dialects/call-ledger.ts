import { LfoError } from '../core/errors.ts';
import type { FinishReason } from '../core/events.ts';

/** Which calls have begun and which are whole. */
export class CallLedger {
  readonly #open = new Set<number>();
  readonly #complete = new Set<number>();
  readonly repaired: number[] = [];

  start(index: number): void {
    this.#open.add(index);
  }

  end(index: number, wasRepaired: boolean): void {
    if (!this.#open.delete(index)) return;
    this.#complete.add(index);
    if (wasRepaired) this.repaired.push(index);
  }

  isComplete(index: number): boolean {
    return this.#complete.has(index);
  }

  /**
   * The reason that fits what was delivered.
   * @throws LfoError where a call was cut off and the backend claims a normal end
   */
  finishReason(reason: FinishReason): FinishReason {
    if (this.#open.size > 0 && reason !== 'length' && reason !== 'content_filter') throw cutOff();
    if (reason === 'length' || reason === 'content_filter') return reason;
    return this.#complete.size === 0 ? 'stop' : 'tool_calls';
  }
}

/** An answer that did not come to its end. */
export function cutOff(): LfoError {
  return new LfoError('The answer was cut off before its end. Send the request again.', {
    code: 'upstream_cut',
    status: 502,
    source: 'upstream',
    retryable: true,
  });
}
