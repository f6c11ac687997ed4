/** What ends work before its end: an `AbortSignal`, or an `Abort` of ours, which costs a tenth of one. */
export interface Cancellation {
  readonly aborted: boolean;
  readonly reason: unknown;
  throwIfAborted(): void;
  addEventListener(type: 'abort', listener: () => void, options?: { readonly once?: boolean }): void;
  removeEventListener(type: 'abort', listener: () => void): void;
}

/** A controller that a parent ends too, and that can be ended alone; `release` unhooks it from the parent. */
export interface ChildAbort {
  readonly signal: Cancellation;
  abort(reason?: unknown): void;
  release(): void;
}

/** Controller and signal in one. Listeners hear of it once, in the order in which they came. */
export class Abort implements ChildAbort, Cancellation {
  readonly #parent: Cancellation | undefined;
  readonly #onParent: (() => void) | undefined;
  #listeners: (() => void)[] = [];
  #isAborted = false;
  #reason: unknown;

  constructor(parent?: Cancellation) {
    if (parent === undefined) return;
    if (parent.aborted) this.abort(parent.reason);
    this.#parent = parent;
    this.#onParent = () => this.abort(parent.reason);
    parent.addEventListener('abort', this.#onParent, { once: true });
  }

  get signal(): Cancellation {
    return this;
  }

  get aborted(): boolean {
    return this.#isAborted;
  }

  get reason(): unknown {
    return this.#reason;
  }

  throwIfAborted(): void {
    if (this.#isAborted) throw this.#reason;
  }

  abort(reason?: unknown): void {
    if (this.#isAborted) return;
    this.#isAborted = true;
    this.#reason = reason ?? new DOMException('This operation was aborted', 'AbortError');
    const listeners = this.#listeners;
    this.#listeners = [];
    for (const listener of listeners) listener();
  }

  release(): void {
    if (this.#onParent !== undefined) this.#parent?.removeEventListener('abort', this.#onParent);
  }

  addEventListener(_type: 'abort', listener: () => void): void {
    if (!this.#isAborted && !this.#listeners.includes(listener)) this.#listeners.push(listener);
  }

  removeEventListener(_type: 'abort', listener: () => void): void {
    const at = this.#listeners.indexOf(listener);
    if (at !== -1) this.#listeners.splice(at, 1);
  }
}

/** Derives an abort from `parent`; cheaper than `AbortSignal.any` and leaves no listener behind once released. */
export function childOf(parent: Cancellation): ChildAbort {
  return new Abort(parent);
}

/** The platform's own signal, for whoever insists on one. */
export function abortSignalOf(cancellation: Cancellation): AbortSignal {
  if (cancellation instanceof AbortSignal) return cancellation;
  const controller = new AbortController();
  if (cancellation.aborted) controller.abort(cancellation.reason);
  else cancellation.addEventListener('abort', () => controller.abort(cancellation.reason));
  return controller.signal;
}

/** A promise that cannot be cancelled, left behind once the signal fires; it then rejects with the signal's reason. */
export function unlessAborted<T>(promise: Promise<T>, signal: Cancellation): Promise<T> {
  return new Promise((resolve, reject) => {
    const leave = (): void => reject(signal.reason);
    if (signal.aborted) leave();
    else signal.addEventListener('abort', leave, { once: true });
    // Listened to in any case: a failure that nobody hears would end the process.
    promise.then(resolve, reject).finally(() => signal.removeEventListener('abort', leave));
  });
}
