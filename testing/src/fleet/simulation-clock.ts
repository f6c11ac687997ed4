import type { Clock } from '@lfo/router/src/core/clock.ts';

interface Event {
  readonly dueMs: number;
  readonly order: number;
  run: (() => void) | undefined;
}

/** A clock for simulations of hours: it jumps from event to event, and lets promises settle in between. */
export class SimulationClock implements Clock {
  readonly #heap: Event[] = [];
  #nowMs = 0;
  #order = 0;

  nowMs(): number {
    return this.#nowMs;
  }

  wallMs(): number {
    return 1_700_000_000_000 + this.#nowMs;
  }

  schedule(delayMs: number, run: () => void): () => void {
    const event: Event = { dueMs: this.#nowMs + Math.max(0, delayMs), order: this.#order++, run };
    this.#push(event);
    return () => void (event.run = undefined);
  }

  /** Runs everything due until the time is over or nothing is left. */
  async run(untilMs: number): Promise<void> {
    for (;;) {
      // What an event resolves goes on before the next one.
      for (let turn = 0; turn < 4; turn++) await Promise.resolve();
      const next = this.#heap[0];
      if (next === undefined || next.dueMs > untilMs) return;
      this.#pop();
      if (next.run === undefined) continue;
      this.#nowMs = next.dueMs;
      next.run();
    }
  }

  #push(event: Event): void {
    const heap = this.#heap;
    let at = heap.length;
    heap.push(event);
    while (at > 0) {
      const up = (at - 1) >> 1;
      const parent = heap[up];
      if (parent === undefined || !isBefore(event, parent)) break;
      heap[at] = parent;
      at = up;
    }
    heap[at] = event;
  }

  #pop(): void {
    const heap = this.#heap;
    const last = heap.pop();
    if (last === undefined || heap.length === 0) return;
    let at = 0;
    for (;;) {
      const [left, right] = [2 * at + 1, 2 * at + 2];
      let least = left;
      const [one, other] = [heap[left], heap[right]];
      if (one === undefined) break;
      if (other !== undefined && isBefore(other, one)) least = right;
      const child = heap[least];
      if (child === undefined || !isBefore(child, last)) break;
      heap[at] = child;
      at = least;
    }
    heap[at] = last;
  }
}

function isBefore(one: Event, other: Event): boolean {
  return one.dueMs === other.dueMs ? one.order < other.order : one.dueMs < other.dueMs;
}
