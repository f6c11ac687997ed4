import { abortReason } from '../abort.ts';

/** A request's place: running, or waiting for one that runs to end. */
export interface Place {
  /** Requests to be started before this one; 0 when it starts at once. */
  readonly position: number;
  /** Resolves when a slot is this request's; rejects with the signal's reason or when waiting has become hopeless. */
  readonly turn: Promise<void>;
  /** Gives slot or place back; idempotent. */
  leave(): void;
}

/** Interactive requests go before those that may wait. */
export type Lane = 'interactive' | 'background';

/** Asked of a request that runs in the background when another wants its slot: ends it, unless it has begun to answer. */
type GiveWay = () => boolean;

interface Waiter {
  readonly lane: Lane;
  readonly start: () => void;
  readonly fail: (reason: unknown) => void;
}

/** Runs at most `slots` requests at once and lets a few wait in order; the rest is the router's to queue. */
export class SlotQueue {
  readonly #queueMax: number;
  readonly #onChange: () => void;
  readonly #waiting: Waiter[] = [];
  /** Of background requests that run and have not been asked to give way. */
  readonly #yielding = new Set<GiveWay>();
  #slots = 0;
  #active = 0;

  constructor(queueMax: number, onChange: () => void) {
    this.#queueMax = queueMax;
    this.#onChange = onChange;
  }

  get active(): number {
    return this.#active;
  }

  get queued(): number {
    return this.#waiting.length;
  }

  /** A slot is free and nobody waits for it. */
  get hasFreeSlot(): boolean {
    return this.#active < this.#slots && this.#waiting.length === 0;
  }

  /** 0 while no model is loaded: then everything waits. What runs is left to end. */
  setSlots(slots: number): void {
    this.#slots = slots;
    this.#startNext();
  }

  /**
   * Takes a place; `undefined` when the queue is full. An interactive request that finds no slot free takes that of one
   * in the background that gives way.
   */
  enter(signal: AbortSignal, lane: Lane = 'interactive', giveWay?: GiveWay): Place | undefined {
    if (!this.hasFreeSlot && this.#waiting.length >= this.#queueMax) return undefined;
    const position = this.hasFreeSlot ? 0 : this.#placeIn(lane) + 1;
    let leave = (): void => {};
    const turn = new Promise<void>((resolve, reject) => {
      let state: 'waiting' | 'running' | 'left' = 'waiting';
      const waiter: Waiter = {
        lane,
        start: () => {
          state = 'running';
          if (lane === 'background' && giveWay !== undefined) this.#yielding.add(giveWay);
          signal.removeEventListener('abort', onAbort);
          resolve();
        },
        fail: (reason) => {
          state = 'left';
          signal.removeEventListener('abort', onAbort);
          reject(reason);
        },
      };
      const onAbort = (): void => {
        leave();
        reject(abortReason(signal));
      };
      leave = () => {
        if (state === 'left') return;
        if (giveWay !== undefined) this.#yielding.delete(giveWay);
        if (state === 'running') this.#active--;
        else this.#waiting.splice(this.#waiting.indexOf(waiter), 1);
        state = 'left';
        signal.removeEventListener('abort', onAbort);
        this.#startNext();
        this.#onChange();
      };
      signal.addEventListener('abort', onAbort, { once: true });
      this.#waiting.splice(this.#placeIn(lane), 0, waiter);
    });
    this.#startNext();
    if (position > 0 && lane === 'interactive') this.#makeWay();
    this.#onChange();
    return { position, turn, leave };
  }

  /** Ends the waiting of all: no slot will come. */
  failWaiting(reason: unknown): void {
    for (const waiter of this.#waiting.splice(0)) waiter.fail(reason);
    this.#onChange();
  }

  #makeWay(): void {
    for (const giveWay of this.#yielding) {
      this.#yielding.delete(giveWay);
      if (giveWay()) return;
    }
  }

  /** Where a request of the lane joins those that wait. */
  #placeIn(lane: Lane): number {
    if (lane === 'background') return this.#waiting.length;
    const first = this.#waiting.findIndex((waiter) => waiter.lane === 'background');
    return first === -1 ? this.#waiting.length : first;
  }

  #startNext(): void {
    while (this.#active < this.#slots) {
      const next = this.#waiting.shift();
      if (next === undefined) return;
      this.#active++;
      next.start();
    }
  }
}
