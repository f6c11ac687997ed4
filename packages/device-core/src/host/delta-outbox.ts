import type { AnswerPart, Clock, DeviceMessage, MessageOf } from '@lfo/protocol';

/** Deltas wait for more text at most this long … */
export const coalesceMs = 25;
/** … or until about this many characters are held. */
export const coalesceChars = 512;
/** Beyond this the engine should pause until `drained`. */
export const outboxFullChars = 64 * 1024;
/** Of one delta, where the link takes more. */
const maxDeltaChars = 64 * 1024;
/** What surrounds the parts of a delta, in bytes. */
const envelopeBytes = 256;
/** Of one character in JSON at worst. */
const bytesPerChar = 6;

type Scores = Extract<AnswerPart, { k: 'scores' }>['scores'];

/** Where deltas go. */
export interface DeltaSink {
  readonly writable: boolean;
  /** Most bytes of JSON one delta may take. */
  readonly maxMessageBytes: number;
  say(message: MessageOf<DeviceMessage, 'delta'>): void;
}

/**
 * Merges the parts of one answer into deltas. The first token leaves at once, with its scores, since it is what the
 * reader waits for; later parts are held for 25 ms or 512 characters, and for as long as the link is full.
 */
export class DeltaOutbox {
  readonly #id: number;
  readonly #sink: DeltaSink;
  readonly #clock: Clock;
  #next = 0;
  /** Something the reader can show has been sent. */
  #begun = false;
  #parts: AnswerPart[] = [];
  #chars = 0;
  #cancelTimer: (() => void) | undefined;

  constructor(id: number, sink: DeltaSink, clock: Clock) {
    this.#id = id;
    this.#sink = sink;
    this.#clock = clock;
  }

  /** So much is held that the engine should pause. */
  get full(): boolean {
    return this.#chars >= outboxFullChars;
  }

  push(part: AnswerPart): void {
    for (const piece of cut(part, this.#maxChars)) this.#push(piece);
  }

  get #maxChars(): number {
    const fitting = Math.floor((this.#sink.maxMessageBytes - envelopeBytes) / bytesPerChar);
    return Math.max(1, Math.min(maxDeltaChars, fitting));
  }

  #push(part: AnswerPart): void {
    this.#chars += sizeOf(part);
    const merged = this.#chars > this.#maxChars ? undefined : merge(this.#parts.at(-1), part);
    if (merged === undefined) this.#parts.push(part);
    else this.#parts[this.#parts.length - 1] = merged;

    if (!this.#sink.writable) return;
    const isFirst = !this.#begun && part.k !== 'scores';
    this.#begun ||= isFirst;
    if (isFirst || this.#chars >= coalesceChars) this.flush();
    else this.#cancelTimer ??= this.#clock.schedule(coalesceMs, () => this.drained());
  }

  /** The link takes writes again, or the time is over. */
  drained(): void {
    this.#endTimer();
    if (this.#sink.writable) this.flush();
  }

  /** Sends what is held whether or not the link is full: before the end of the answer. */
  flush(): void {
    this.#endTimer();
    let parts: AnswerPart[] = [];
    let chars = 0;
    for (const part of this.#parts) {
      const size = sizeOf(part);
      if (parts.length > 0 && chars + size > this.#maxChars) {
        this.#send(parts);
        parts = [];
        chars = 0;
      }
      parts.push(part);
      chars += size;
    }
    if (parts.length > 0) this.#send(parts);
    this.#parts = [];
    this.#chars = 0;
  }

  /** The number of the end, once everything before it has been sent or forgotten. */
  takeNumber(): number {
    return this.#next++;
  }

  /** Forgets what is held: the request is over. */
  discard(): void {
    this.#endTimer();
    this.#parts = [];
    this.#chars = 0;
  }

  #send(parts: AnswerPart[]): void {
    this.#sink.say({ t: 'delta', id: this.#id, n: this.#next, parts });
    this.#next++;
  }

  #endTimer(): void {
    this.#cancelTimer?.();
    this.#cancelTimer = undefined;
  }
}

function merge(last: AnswerPart | undefined, part: AnswerPart): AnswerPart | undefined {
  if (last === undefined) return undefined;
  if (part.k === 'text' && last.k === 'text') return { k: 'text', text: last.text + part.text };
  if (part.k === 'reasoning' && last.k === 'reasoning') return { k: 'reasoning', text: last.text + part.text };
  if (part.k === 'args' && last.k === 'args' && part.index === last.index)
    return { ...last, json: last.json + part.json };
  return undefined;
}

/** A part in pieces of at most so many characters; no character is cut in two. */
function cut(part: AnswerPart, maxChars: number): readonly AnswerPart[] {
  if (part.k === 'text' || part.k === 'reasoning')
    return piecesOf(part.text, maxChars).map((text) => ({ ...part, text }));
  if (part.k === 'args') return piecesOf(part.json, maxChars).map((json) => ({ ...part, json }));
  if (part.k === 'scores') return runsOf(part.scores, maxChars).map((scores) => ({ ...part, scores }));
  return [part];
}

/** Scores in runs of at most so many characters, each of one score at least. */
function runsOf(scores: Scores, maxChars: number): readonly Scores[] {
  const runs: Scores[] = [];
  let run: Scores = [];
  let chars = 0;
  for (const score of scores) {
    const size = sizeOfScore(score);
    if (run.length > 0 && chars + size > maxChars) {
      runs.push(run);
      run = [];
      chars = 0;
    }
    run.push(score);
    chars += size;
  }
  return [...runs, run];
}

function piecesOf(text: string, maxChars: number): readonly string[] {
  if (text.length <= maxChars) return [text];
  const pieces: string[] = [];
  for (let from = 0; from < text.length;) {
    let to = Math.min(text.length, from + maxChars);
    const isInPair = to < text.length && to - from > 1 && /[\uD800-\uDBFF]/.test(text.charAt(to - 1));
    if (isInPair) to--;
    pieces.push(text.slice(from, to));
    from = to;
  }
  return pieces;
}

function sizeOf(part: AnswerPart): number {
  switch (part.k) {
    case 'text':
    case 'reasoning':
      return part.text.length;
    case 'args':
      return part.json.length;
    case 'scores':
      return part.scores.reduce((sum, score) => sum + sizeOfScore(score), 0);
    default:
      return 40;
  }
}

/** About 40 characters of JSON with its token, and as much for each alternative. */
function sizeOfScore({ top }: Scores[number]): number {
  return 40 * (1 + (top?.length ?? 0));
}
