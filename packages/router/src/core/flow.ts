/** Takes items in the order in which they come, and hears once that no more will; neither call throws. */
export interface Sink<T> {
  put(item: T): void;
  /** With what went wrong, where something did. */
  end(error?: unknown): void;
}

/** The way back to whoever tells: holds it up while its taker is not ready. What was under way still comes. */
export interface Flow {
  pause(): void;
  resume(): void;
  /** Nothing more is wanted; nothing more is told. */
  stop(): void;
}

/** Something that comes piece by piece: asked for by iterating, or told as it comes where `pipe` is there. Once. */
export interface Source<T> extends AsyncIterable<T> {
  /** Tells each piece in the turn in which it came, without a promise for it; never before it has returned. */
  pipe?(to: Sink<T>): Flow;
}

/** Has a source told, whichever way it comes. */
export function pipe<T>(source: Source<T>, to: Sink<T>): Flow {
  return source.pipe?.(to) ?? new Pump(source[Symbol.asyncIterator](), to);
}

/** The source of what is told, for those who would rather ask. */
export function sourceOf<T>(tell: (to: Sink<T>) => Flow): Source<T> & { pipe(to: Sink<T>): Flow } {
  return { pipe: tell, [Symbol.asyncIterator]: () => new Asked(tell) };
}

/**
 * Tells what a source tells that is yet to be opened. One that opens after it was stopped is told so.
 * @param over called once when it has ended or was stopped
 */
export function tellLater<T>(opening: Promise<(to: Sink<T>) => Flow>, to: Sink<T>, over: () => void): Flow {
  return new Opening(opening, to, over);
}

/** Asks for one piece after the other and tells it. */
class Pump<T> implements Flow {
  readonly #iterator: AsyncIterator<T, unknown>;
  readonly #to: Sink<T>;
  #isPaused = false;
  #isAsking = false;
  #isOver = false;

  constructor(iterator: AsyncIterator<T, unknown>, to: Sink<T>) {
    this.#iterator = iterator;
    this.#to = to;
    this.#ask();
  }

  pause(): void {
    this.#isPaused = true;
  }

  resume(): void {
    this.#isPaused = false;
    this.#ask();
  }

  stop(): void {
    this.#isOver = true;
    // Not awaited: it may still be busy with the step that was left.
    this.#iterator.return?.()?.then(undefined, () => undefined);
  }

  #ask(): void {
    if (this.#isPaused || this.#isAsking || this.#isOver) return;
    this.#isAsking = true;
    this.#iterator.next().then(
      (read) => this.#came(read),
      (error: unknown) => this.#ended(error),
    );
  }

  #came(read: IteratorResult<T, unknown>): void {
    this.#isAsking = false;
    if (this.#isOver) return;
    if (read.done === true) return this.#ended();
    this.#to.put(read.value);
    this.#ask();
  }

  #ended(error?: unknown): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#to.end(error);
  }
}

/** Keeps what is told until it is asked for. */
class Asked<T> implements AsyncIterator<T, undefined>, Sink<T> {
  readonly #tell: (to: Sink<T>) => Flow;
  readonly #kept: T[] = [];
  #flow: Flow | undefined;
  #isOver = false;
  #error: unknown;
  #wake: () => void = () => undefined;

  constructor(tell: (to: Sink<T>) => Flow) {
    this.#tell = tell;
  }

  async next(): Promise<IteratorResult<T, undefined>> {
    this.#flow ??= this.#tell(this);
    if (this.#kept.length === 0 && !this.#isOver) {
      this.#flow.resume();
      await new Promise<void>((resolve) => (this.#wake = resolve));
    }
    const value = this.#kept.shift();
    if (value !== undefined) return { done: false, value };
    if (this.#error !== undefined) throw this.#error;
    this.#flow.stop();
    return { done: true, value: undefined };
  }

  return(): Promise<IteratorResult<T, undefined>> {
    this.#isOver = true;
    this.#kept.length = 0;
    this.#flow?.stop();
    this.#wake();
    return Promise.resolve({ done: true, value: undefined });
  }

  put(item: T): void {
    this.#kept.push(item);
    this.#flow?.pause();
    this.#wake();
  }

  end(error?: unknown): void {
    this.#isOver = true;
    this.#error = error;
    this.#wake();
  }
}

class Opening<T> implements Flow, Sink<T> {
  readonly #to: Sink<T>;
  readonly #over: () => void;
  #flow: Flow | undefined;
  #isPaused = false;
  #isOver = false;

  constructor(opening: Promise<(to: Sink<T>) => Flow>, to: Sink<T>, over: () => void) {
    this.#to = to;
    this.#over = over;
    opening.then((tell) => this.#opened(tell)).catch((error: unknown) => this.end(error));
  }

  #opened(tell: (to: Sink<T>) => Flow): void {
    const flow = (this.#flow = tell(this));
    if (this.#isOver) flow.stop();
    else if (this.#isPaused) flow.pause();
  }

  pause(): void {
    this.#isPaused = true;
    this.#flow?.pause();
  }

  resume(): void {
    this.#isPaused = false;
    this.#flow?.resume();
  }

  stop(): void {
    this.#flow?.stop();
    this.#finish();
  }

  put(item: T): void {
    if (!this.#isOver) this.#to.put(item);
  }

  end(error?: unknown): void {
    if (this.#finish()) this.#to.end(error);
  }

  /** Whether it was not over yet. */
  #finish(): boolean {
    if (this.#isOver) return false;
    this.#isOver = true;
    this.#over();
    return true;
  }
}
