import { mayCall, mustCall } from '../core/can-serve.ts';
import type { InferenceEvent, TokenScore } from '../core/events.ts';
import type { ChatRequest } from '../core/request.ts';

/**
 * What of an answer is held back: nothing that leaves, `text`, a `call`, or a promised `format`. A call and a format
 * are only judged positive at the answer's end.
 */
export type HeldKind = 'nothing' | 'text' | 'call' | 'format';

/** Knows what an answer is so far, as far as holding it depends on that. */
export class HeldPart {
  readonly #mayCall: boolean;
  readonly #isPromised: boolean;
  readonly #open = new Set<number>();
  #kind: HeldKind = 'nothing';
  #hasCall = false;
  /** Scores of a call have come that has not been read yet. */
  #isAnnounced = false;
  #isReasoning = false;
  #opening = '';
  #unitsHeld = 0;
  #deltas = 0;
  #scored = 0;
  /** Scores of tokens that have not shown up: as text, as thoughts or as a call. */
  #unclaimed = 0;

  constructor(request: ChatRequest) {
    this.#mayCall = mayCall(request);
    this.#isPromised = isPromisedFormat(request);
  }

  get kind(): HeldKind {
    return this.#kind;
  }

  /** Tokens of text: scored ones, or pieces where there are more of those. Neither thoughts nor calls count. */
  get textTokens(): number {
    return Math.max(this.#scored, this.#deltas);
  }

  /** Size of text and arguments, in UTF-16 units. */
  get units(): number {
    return this.#unitsHeld;
  }

  /** A call has begun, from its first score on, and has no end yet. */
  get isInCall(): boolean {
    return this.#isAnnounced || this.#open.size > 0;
  }

  /** Adds one event. @returns whether a clock begins with it: the first content, or the first token of a call */
  add(event: InferenceEvent): boolean {
    switch (event.type) {
      case 'text-delta':
      case 'refusal-delta':
        return event.text !== '' && this.#addText(event.text);
      case 'reasoning-delta':
        this.#isReasoning = true;
        this.#unclaimed = 0;
        return false;
      case 'token-scores':
        return isOfCall(event) ? this.#announceCall() : this.#addScores(event.scores);
      case 'tool-call-start': {
        const isNews = !this.#isAnnounced;
        this.#isAnnounced = false;
        this.#open.add(event.index);
        return isNews && this.#beginCall();
      }
      case 'tool-call-delta':
        this.#unitsHeld += event.json.length;
        return false;
      case 'tool-call-end':
        this.#open.delete(event.index);
        return false;
      default:
        return false;
    }
  }

  #addText(text: string): boolean {
    const before = this.#kind;
    this.#isReasoning = false;
    this.#deltas++;
    this.#scored += this.#unclaimed;
    this.#unclaimed = 0;
    this.#unitsHeld += text.length;
    if (this.#opening.length < maxOpening) this.#opening += text.slice(0, maxOpening);
    if (this.#isPromised) this.#kind = 'format';
    else if (!this.#hasCall) this.#kind = this.#mayCall && beginsLikeCall(this.#opening) ? 'call' : 'text';
    return this.#kind !== before && before !== 'call';
  }

  #addScores(scores: readonly TokenScore[]): boolean {
    if (!this.#isReasoning) this.#unclaimed += scores.filter(({ label }) => label !== 'reasoning').length;
    return false;
  }

  #announceCall(): boolean {
    if (this.isInCall) return false;
    this.#isAnnounced = true;
    return this.#beginCall();
  }

  /** Each call has its own clock; a promised format has one for all of them. */
  #beginCall(): boolean {
    const isFirst = this.#kind === 'nothing';
    this.#isReasoning = false;
    this.#unclaimed = 0;
    this.#hasCall = true;
    this.#kind = this.#isPromised ? 'format' : 'call';
    return isFirst || !this.#isPromised;
  }
}

/** Whether scores belong to a call that is being written. */
export function isOfCall(event: Extract<InferenceEvent, { type: 'token-scores' }>): boolean {
  return event.about === 'tool-call';
}

/** Whether the client was promised JSON or a call, which is worth nothing in part. */
export function isPromisedFormat(request: ChatRequest): boolean {
  const { responseFormat } = request;
  const isJson = responseFormat !== undefined && responseFormat.type !== 'text';
  return isJson || mustCall(request);
}

/** How small models begin a call that is not yet read, or never will be: a mark, a fence, a brace. */
export function beginsLikeCall(text: string): boolean {
  return /^\s*(?:[[{<]|`{1,2}$|```\w*\s*$|```\w*\s*[[{<])/.test(text.slice(0, maxOpening));
}

const maxOpening = 64;
