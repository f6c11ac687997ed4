import { labelTokens, type LabelledToken } from '@lfo/device-core/token-labels';
import type { FinishEvent, InferenceEvent, TokenScore } from '../../core/events.ts';
import { isJsonObject, parseJson } from '../../core/json.ts';
import type { ToolSpec } from '../../core/request.ts';
import type { ReadCall } from '../features/features.ts';
import { natsOf, sumNats, type AnswerNats } from '../features/nats.ts';
import { horizonTokens, type OpeningNats } from '../features/text-features.ts';
import type { WrittenCall } from '../structural-judge.ts';

/** Collects what an answer says while its events come: text, calls, surprise. */
export class AnswerReader {
  readonly #tools: readonly ToolSpec[];
  readonly #tokens: string[] = [];
  readonly #nats: number[] = [];
  /** As the writer labelled them; fewer than tokens where it left some out. */
  readonly #labels: LabelledToken[] = [];
  readonly #open = new Map<number, { readonly name: string; json: string }>();
  readonly calls: WrittenCall[] = [];
  #isReasoning = false;
  #scoredCallTokens = 0;
  #openingTokens = 0;
  #worst = 0;
  #second = 0;
  text = '';
  textDeltas = 0;
  finish: FinishEvent | undefined;
  handOff = false;

  constructor(tools: readonly ToolSpec[]) {
    this.#tools = tools;
  }

  /** Takes an event; the call that it completes, if it does. */
  observe(event: InferenceEvent): WrittenCall | undefined {
    switch (event.type) {
      case 'text-delta':
      case 'refusal-delta':
        this.#isReasoning = false;
        this.textDeltas += 1;
        this.text += event.text;
        return undefined;
      case 'reasoning-delta':
        this.#isReasoning = true;
        return undefined;
      case 'tool-call-start':
        this.#open.set(event.index, { name: event.name, json: '' });
        return undefined;
      case 'tool-call-delta': {
        const call = this.#open.get(event.index);
        if (call !== undefined) call.json += event.json;
        return undefined;
      }
      case 'tool-call-end':
        return this.#endCall(event.index, event.repaired ?? false);
      case 'token-scores':
        if (event.about === 'tool-call' || !this.#isReasoning) this.#takeScores(event.scores, event.about);
        return undefined;
      case 'self-report':
        this.handOff ||= event.handOff ?? false;
        return undefined;
      case 'finish':
        this.finish = event;
        return undefined;
      default:
        return undefined;
    }
  }

  get hasOpenCall(): boolean {
    return this.#open.size > 0;
  }

  /** Surprise of the first tokens of text; undefined without scores. */
  get opening(): OpeningNats | undefined {
    return this.#openingTokens === 0 ? undefined : { worst: [this.#worst, this.#second] };
  }

  /** Later tokens no longer change `opening`. */
  get isOpeningSettled(): boolean {
    return this.#openingTokens >= horizonTokens;
  }

  /** Arguments of the calls; unreadable ones are empty. */
  get readCalls(): readonly ReadCall[] {
    return this.calls.map(({ name, json }) => {
      const value = json.trim() === '' ? {} : parseJson(json);
      return { name, arguments: isJsonObject(value) ? value : {} };
    });
  }

  /** Surprise of the calls by their parts; undefined where no call was scored or the tokens do not show one. */
  callNats(): AnswerNats | undefined {
    if (this.#scoredCallTokens === 0) return undefined;
    const isLabelled = this.#labels.length === this.#tokens.length;
    const labels = isLabelled ? this.#labels : labelTokens(this.#tokens, this.#tools);
    return labels.some(({ label }) => label === 'name') ? sumNats(labels, this.#nats) : undefined;
  }

  /** Scores taken under a grammar are left out: they are renormalised and say nothing. */
  #takeScores(scores: readonly TokenScore[], about: 'text' | 'tool-call'): void {
    for (const { token, logprob, taken, label, call, argument } of scores) {
      if (taken === 'grammar' || label === 'reasoning') continue;
      const nats = natsOf(logprob);
      this.#tokens.push(token);
      this.#nats.push(nats);
      if (label !== undefined)
        this.#labels.push({ label, ...(call !== undefined && { call }), ...(argument !== undefined && { argument }) });
      if (about === 'tool-call') this.#scoredCallTokens += 1;
      else if (this.#openingTokens < horizonTokens) {
        this.#openingTokens += 1;
        this.#second = Math.max(this.#second, Math.min(this.#worst, nats));
        this.#worst = Math.max(this.#worst, nats);
      }
    }
  }

  #endCall(index: number, repaired: boolean): WrittenCall | undefined {
    const open = this.#open.get(index);
    if (open === undefined) return undefined;
    this.#open.delete(index);
    const call = { ...open, repaired };
    this.calls.push(call);
    return call;
  }
}
