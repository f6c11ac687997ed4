import type { LlamaContextSequence, Token } from 'node-llama-cpp';
import { chooseSlot, reusableTokens, type SlotContents } from './slots.ts';

/** A sequence held by one run. */
export interface SlotLease {
  readonly sequence: LlamaContextSequence;
  /** Leading prompt tokens that are in the cache; the sequence holds exactly these. */
  readonly reused: number;
  /** Gives the slot back once `idle` has settled: an aborted run computes on for up to one chunk. */
  release(idle: Promise<unknown>): void;
}

/** Hands the sequences of a context to runs, each the one that spares it most. */
export class SlotPool {
  readonly #slots: readonly Slot[];
  readonly #free: Set<Slot>;
  #waiting: Array<() => void> = [];
  #settling = new Set<Promise<unknown>>();
  #uses = 0;

  constructor(sequences: readonly LlamaContextSequence[]) {
    this.#slots = sequences.map((sequence) => new Slot(sequence));
    this.#free = new Set(this.#slots);
  }

  /** Slots in use, those of aborted runs that still compute included. */
  get busy(): number {
    return this.#slots.length - this.#free.size;
  }

  /** Leading tokens of this prompt that some slot would spare. */
  warm(tokens: readonly Token[], key: string | undefined): number {
    return Math.max(...this.#slots.map((slot) => reusableTokens(slot, tokens, key)));
  }

  /** Waits for a free slot and trims it to what this prompt can use. @throws the signal's reason */
  async acquire(tokens: readonly Token[], key: string | undefined, signal: AbortSignal): Promise<SlotLease> {
    for (;;) {
      signal.throwIfAborted();
      const slot = chooseSlot<Slot, Token>([...this.#free], tokens, key);
      if (slot !== undefined) return this.#lease(slot, tokens, key);
      await this.#oneFreed(signal);
    }
  }

  /** Resolves when nothing computes any more. */
  async settled(): Promise<void> {
    while (this.#settling.size > 0) await Promise.allSettled(this.#settling);
  }

  async #lease(slot: Slot, tokens: readonly Token[], key: string | undefined): Promise<SlotLease> {
    this.#free.delete(slot);
    const reused = reusableTokens(slot, tokens, key);
    this.#uses += 1;
    const trimmed = slot.take(reused, key, this.#uses);
    const release = (idle: Promise<unknown>): void => {
      const settling: Promise<unknown> = idle
        .catch(() => {})
        .finally(() => {
          this.#settling.delete(settling);
          this.#give(slot);
        });
      this.#settling.add(settling);
    };
    try {
      await trimmed;
    } catch (error) {
      release(Promise.resolve());
      throw error;
    }
    return { sequence: slot.sequence, reused, release };
  }

  #give(slot: Slot): void {
    this.#free.add(slot);
    this.#waiting.shift()?.();
  }

  #oneFreed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = (): void => {
        signal.removeEventListener('abort', done);
        this.#waiting = this.#waiting.filter((waiter) => waiter !== done);
        resolve();
      };
      this.#waiting.push(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}

class Slot implements SlotContents<Token> {
  readonly sequence: LlamaContextSequence;
  key: string | undefined;
  shared = 0;
  used = 0;

  constructor(sequence: LlamaContextSequence) {
    this.sequence = sequence;
  }

  get tokens(): Token[] {
    return this.sequence.contextTokens;
  }

  async take(reused: number, key: string | undefined, used: number): Promise<void> {
    this.shared = this.key === undefined ? reused : Math.min(reused, this.shared);
    this.key = key;
    this.used = used;
    const end = this.sequence.nextTokenIndex;
    if (end > reused) await this.sequence.eraseContextTokenRanges([{ start: reused, end }]);
  }
}
