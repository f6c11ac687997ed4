import type { LlamaContextSequence, Token } from 'node-llama-cpp';
import { chooseSlot, reusableTokens, type SlotContents } from './slots.ts';

/** What the pool does with a sequence. */
type Sequence = Pick<
  LlamaContextSequence,
  'clearHistory' | 'contextTokens' | 'eraseContextTokenRanges' | 'needsCheckpoints' | 'nextTokenIndex'
>;

/** A sequence held by one run. */
export interface SlotLease<S extends Sequence = LlamaContextSequence> {
  readonly sequence: S;
  /** Leading prompt tokens that are in the cache; the sequence holds exactly these. */
  readonly reused: number;
  /** Gives the slot back once `idle` has settled: an aborted run computes on for up to one chunk. */
  release(idle: Promise<unknown>): void;
}

interface Waiter<S extends Sequence> {
  readonly tokens: readonly Token[];
  readonly key: string | undefined;
  readonly give: (slot: Slot<S>) => void;
}

/** Hands the sequences of a context to runs, each the one that spares it most, in the order they asked. */
export class SlotPool<S extends Sequence = LlamaContextSequence> {
  readonly #slots: readonly Slot<S>[];
  readonly #free: Set<Slot<S>>;
  readonly #waiting: Waiter<S>[] = [];
  readonly #settling = new Set<Promise<unknown>>();
  #uses = 0;

  constructor(sequences: readonly S[]) {
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
  async acquire(tokens: readonly Token[], key: string | undefined, signal: AbortSignal): Promise<SlotLease<S>> {
    signal.throwIfAborted();
    const slot = await this.#slot(tokens, key, signal);
    const reused = reusableTokens(slot, tokens, key);
    this.#uses += 1;
    try {
      await slot.take(reused, key, this.#uses);
    } catch (error) {
      this.#give(slot);
      throw error;
    }
    return { sequence: slot.sequence, reused, release: (idle) => this.#release(slot, idle) };
  }

  /** Resolves when nothing computes any more. */
  async settled(): Promise<void> {
    while (this.#settling.size > 0) await Promise.allSettled(this.#settling);
  }

  #slot(tokens: readonly Token[], key: string | undefined, signal: AbortSignal): Promise<Slot<S>> {
    return new Promise((resolve, reject) => {
      const onAbort = (): void => {
        this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        reject(signal.reason);
      };
      const waiter: Waiter<S> = {
        tokens,
        key,
        give: (slot) => {
          signal.removeEventListener('abort', onAbort);
          resolve(slot);
        },
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.push(waiter);
      this.#serve();
    });
  }

  /** A slot is promised to a waiter as it becomes free: whoever comes in between cannot take it. */
  #serve(): void {
    for (let [next] = this.#waiting; next !== undefined; [next] = this.#waiting) {
      const slot = chooseSlot<Slot<S>, Token>([...this.#free], next.tokens, next.key);
      if (slot === undefined) return;
      this.#free.delete(slot);
      this.#waiting.shift();
      next.give(slot);
    }
  }

  #release(slot: Slot<S>, idle: Promise<unknown>): void {
    const settling: Promise<unknown> = idle
      .catch(() => {})
      .finally(() => {
        this.#settling.delete(settling);
        this.#give(slot);
      });
    this.#settling.add(settling);
  }

  #give(slot: Slot<S>): void {
    this.#free.add(slot);
    this.#serve();
  }
}

class Slot<S extends Sequence> implements SlotContents<Token> {
  readonly sequence: S;
  key: string | undefined;
  shared = 0;
  used = 0;

  constructor(sequence: S) {
    this.sequence = sequence;
  }

  get tokens(): Token[] {
    return this.sequence.contextTokens;
  }

  get canCut(): boolean {
    return !this.sequence.needsCheckpoints;
  }

  /** What it holds beyond `reused` is gone before the slot counts as the new key's. */
  async take(reused: number, key: string | undefined, used: number): Promise<void> {
    this.used = used;
    const end = this.sequence.nextTokenIndex;
    if (end > reused && reused === 0) await this.sequence.clearHistory();
    else if (end > reused) await this.sequence.eraseContextTokenRanges([{ start: reused, end }]);
    this.shared = this.key === undefined ? reused : Math.min(reused, this.shared);
    this.key = key;
  }
}
