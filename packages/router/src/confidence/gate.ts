import type { Clock } from '../core/clock.ts';
import type { ConfidenceSession, FinalVerdict } from '../core/confidence.ts';
import type { GateConfig } from '../config/config.ts';
import type { FinishEvent, InferenceEvent } from '../core/events.ts';
import type { JsonObject } from '../core/json.ts';
import type { ChatRequest } from '../core/request.ts';
import { HeldPart, isOfCall } from './held-part.ts';

/** What was withheld; empty once released. */
export interface HeldAnswer {
  /** In the order they came, from `start` on. */
  readonly events: readonly InferenceEvent[];
  /** The backend had finished: an answer stopped by an early escalation is only a part. */
  readonly isComplete: boolean;
}

export interface GateOptions {
  readonly request: ChatRequest;
  /** A unary answer is held to its end whatever the mode, since nothing of it leaves before. */
  readonly delivery: 'stream' | 'unary';
  /** `observe` judges without holding back and only reports what it would have said. */
  readonly mode: 'judge' | 'observe';
  readonly limits: Pick<GateConfig, 'maxHoldTokens' | 'maxHoldMs' | 'maxFormatMs' | 'maxFormatBytes'>;
  readonly clock: Clock;
}

/**
 * Holds one answer back until it is judged. Fed by whoever reads the upstream; says what may leave, and by when it
 * wants to be asked again. Text is released once the session commits, at `maxHoldTokens`, or `maxHoldMs` after its
 * first token on the evidence there is. A call and a promised format are released at the answer's end alone; a limit in
 * them escalates. A call that begins after released text is judged whole too. Without a session nothing is judged.
 */
export class Gate {
  readonly #session: ConfidenceSession | undefined;
  readonly #options: GateOptions;
  #part: HeldPart;
  #state: 'holding' | 'passing' | 'escalated';
  #held: InferenceEvent[] = [];
  #verdict: FinalVerdict | undefined;
  #dueMs = Infinity;
  #firstEventMs: number | undefined;
  /** Of the first content held back, or of the first score of a call. */
  #heldFromMs: number | undefined;
  #heldMs: number | undefined;
  #heldTokens = 0;
  #hasReleasedText = false;

  constructor(session: ConfidenceSession | undefined, options: GateOptions) {
    this.#session = session;
    this.#options = options;
    this.#part = new HeldPart(options.request);
    this.#state = this.#isJudging || options.delivery === 'unary' ? 'holding' : 'passing';
  }

  /** In `judge` mode once decided, in `observe` mode after the last event. */
  get verdict(): FinalVerdict | undefined {
    return this.#verdict;
  }

  /** The answer, or a call after released text, is withheld for good; later events are dropped. */
  get isEscalated(): boolean {
    return this.#state === 'escalated';
  }

  /** Monotonic time at which to call `expire`. */
  get dueMs(): number {
    return this.#dueMs;
  }

  get held(): HeldAnswer {
    return { events: this.#held, isComplete: this.#held.at(-1)?.type === 'finish' };
  }

  /** From the first content held back to the verdict; undefined where nothing is judged before it leaves. */
  get heldMs(): number | undefined {
    return this.#heldMs;
  }

  /** Tokens of text held back, calls aside. */
  get heldTokens(): number | undefined {
    return this.#heldMs === undefined ? undefined : this.#heldTokens;
  }

  /** Monotonic time of the first event that carries an answer, thoughts included. */
  get firstEventMs(): number | undefined {
    return this.#firstEventMs;
  }

  /** What the judge has seen; undefined where nobody judges. */
  get evidence(): JsonObject | undefined {
    return this.#session?.evidence();
  }

  /** Takes the next events; answers which may leave now. */
  take(events: readonly InferenceEvent[]): readonly InferenceEvent[] {
    if (this.#session === undefined && this.#state === 'passing') {
      if (this.#firstEventMs === undefined && events.some(isContent)) this.#firstEventMs = this.#options.clock.nowMs();
      return events;
    }
    const released: InferenceEvent[] = [];
    for (const event of events) this.#takeOne(event, released);
    return released;
  }

  /** `dueMs` has come: text is decided on the evidence there is, anything else escalates. */
  expire(): readonly InferenceEvent[] {
    if (this.#session === undefined || this.#state !== 'holding') return [];
    const released: InferenceEvent[] = [];
    this.#settle(this.#part.kind === 'text' ? atLimit(this.#session) : holdLimit, released);
    return released;
  }

  get #isJudging(): boolean {
    return this.#session !== undefined && this.#options.mode === 'judge';
  }

  #takeOne(event: InferenceEvent, released: InferenceEvent[]): void {
    if (this.#state === 'escalated') return;
    if (isContent(event)) this.#firstEventMs ??= this.#options.clock.nowMs();
    if (!this.#isJudging) return this.#observe(event, released);
    if (this.#state === 'passing') {
      if (!this.#beginsCall(event)) return void released.push(event);
      this.#holdAgain();
    }
    this.#held.push(event);
    const begins = this.#part.add(event);
    if (begins || isContent(event)) this.#heldFromMs ??= this.#options.clock.nowMs();
    if (begins) this.#startClock();
    const verdict = this.#judge(event);
    if (verdict !== undefined) this.#settle(verdict, released);
  }

  #observe(event: InferenceEvent, released: InferenceEvent[]): void {
    this.#session?.observe(event);
    if (event.type === 'finish') this.#verdict = this.#session?.end();
    if (this.#state === 'passing') return void released.push(event);
    this.#held.push(event);
    if (event.type === 'finish') this.#release(released);
  }

  /** The final verdict, as soon as there is one. */
  #judge(event: InferenceEvent): FinalVerdict | undefined {
    const session = this.#session;
    if (session === undefined) return undefined;
    const verdict = session.observe(event);
    if (verdict.type === 'escalate') return verdict;
    if (event.type === 'finish') return this.#isCutInCall(event) ? holdLimit : session.end();
    const { limits, delivery } = this.#options;
    if (delivery === 'unary') return undefined;
    const { kind, textTokens, units } = this.#part;
    if (kind === 'format') return units > limits.maxFormatBytes ? holdLimit : undefined;
    if (kind !== 'text') return undefined;
    if (verdict.type === 'commit') return verdict;
    return textTokens >= limits.maxHoldTokens ? atLimit(session) : undefined;
  }

  /** Cut by a cap of the answer: whatever is missing of a call, no limit may let it pass. */
  #isCutInCall({ reason }: FinishEvent): boolean {
    return reason === 'length' && this.#part.isInCall;
  }

  #startClock(): void {
    const { limits, delivery, clock } = this.#options;
    if (delivery === 'unary') return;
    const holdMs = this.#part.kind === 'format' ? limits.maxFormatMs : limits.maxHoldMs;
    this.#dueMs = clock.nowMs() + holdMs;
  }

  #settle(verdict: FinalVerdict, released: InferenceEvent[]): void {
    const nowMs = this.#options.clock.nowMs();
    this.#verdict = verdict;
    this.#dueMs = Infinity;
    this.#heldMs ??= nowMs - (this.#heldFromMs ?? nowMs);
    if (!this.#hasReleasedText) this.#heldTokens = this.#part.textTokens;
    if (verdict.type === 'commit') this.#release(released);
    else this.#state = 'escalated';
  }

  #release(released: InferenceEvent[]): void {
    for (const event of this.#held) released.push(event);
    this.#held = [];
    this.#state = 'passing';
    this.#hasReleasedText = true;
  }

  #beginsCall(event: InferenceEvent): boolean {
    return event.type === 'tool-call-start' || (event.type === 'token-scores' && isOfCall(event));
  }

  /** A call after released text: no limit of the text's applies to it. */
  #holdAgain(): void {
    this.#state = 'holding';
    this.#part = new HeldPart(this.#options.request);
  }
}

const holdLimit: FinalVerdict = { type: 'escalate', reason: 'hold_limit' };

function atLimit(session: ConfidenceSession): FinalVerdict {
  const verdict = session.end();
  return verdict.type === 'commit' ? verdict : { ...verdict, reason: 'hold_limit' };
}

function isContent({ type }: InferenceEvent): boolean {
  return type !== 'start' && type !== 'token-scores' && type !== 'self-report' && type !== 'finish';
}
