import type { AnswerTiming, PoolChoice } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import { type KnownRates, knownRates, type MeanRequest } from '../core/predicted-work.ts';
import { type Member, ratesOf } from './eligibility.ts';
import { assumedRates } from './placement.ts';
import { mostSaid, RateEstimator } from './rate-estimator.ts';

/** Weight of the newest request in the means. */
const meanWeight = 0.2;
/** How long the quickest member stays it. */
const quickestMs = 1_000;

/** What the pool has measured of requests and members, over all of them. */
export class Measured {
  readonly #clock: Clock;
  readonly #members: () => readonly Member[];
  /** Expected length of an answer, and means of all requests. */
  readonly #means = { out: 128, outWithTools: 128, prompt: 400 };
  /** The rates of the quickest, looked for now and then. */
  #quickest = { rates: assumedRates, untilMs: -Infinity };
  /** What devices are believed of their speed, by the speeds measured here. */
  most: ReturnType<Member['most']> = {};
  #mostUntilMs = -Infinity;

  constructor(clock: Clock, members: () => readonly Member[]) {
    this.#clock = clock;
    this.#members = members;
  }

  /** The rates of the quickest local member; looked for now and then. */
  quickestRates(): KnownRates {
    const nowMs = this.#clock.nowMs();
    if (nowMs < this.#quickest.untilMs) return this.#quickest.rates;
    let rates: KnownRates | undefined;
    for (const member of this.#members()) {
      if (member.backend.tier !== 'local') continue;
      const known = knownRates(ratesOf(member, member.backend.models[0] ?? ''));
      if (known !== undefined && known.decodeRate > (rates?.decodeRate ?? 0)) rates = known;
    }
    this.#quickest = { rates: rates ?? assumedRates, untilMs: nowMs + quickestMs };
    return this.#quickest.rates;
  }

  get means(): MeanRequest {
    return { prompt: this.#means.prompt, out: this.#means.out };
  }

  /** Expected length of an answer, in tokens. */
  expectedOut({ tools, sampling }: PoolChoice['request']): number {
    const usual = tools.length > 0 ? this.#means.outWithTools : this.#means.out;
    return Math.min(usual, sampling.maxTokens ?? Infinity);
  }

  noteTiming({ rates }: Member, model: string, timing: AnswerTiming): void {
    if (!isCredible(timing)) return;
    const known = rates.get(model) ?? new RateEstimator();
    if (rates.size < maxRated) rates.set(model, known);
    known.addFirstToken(timing.promptTokens - timing.cachedTokens, timing.firstTokenMs);
    if (timing.answer !== undefined) known.addAnswer(timing.answer.tokens, timing.answer.ms);
    const nowMs = this.#clock.nowMs();
    if (nowMs < this.#mostUntilMs) return;
    this.#mostUntilMs = nowMs + quickestMs;
    const measured = this.#members().flatMap((member) => Array.from(member.rates.values(), (each) => each.read()));
    const [prefillRate, decodeRate] = [
      medianOf(measured.map((each) => each.prefillRate)),
      medianOf(measured.map((each) => each.decodeRate)),
    ];
    this.most = mostSaid({
      ...(prefillRate === undefined ? {} : { prefillRate }),
      ...(decodeRate === undefined ? {} : { decodeRate }),
    });
  }

  noteSize({ tools }: PoolChoice['request'], timing: AnswerTiming): void {
    if (!isCredible(timing)) return;
    const means = this.#means;
    const { promptTokens, answer } = timing;
    means.prompt += meanWeight * (promptTokens - means.prompt);
    if (answer === undefined) return;
    if (tools.length > 0) means.outWithTools += meanWeight * (answer.tokens - means.outWithTools);
    else means.out += meanWeight * (answer.tokens - means.out);
  }
}

/** Whether the counts can be true: one that cannot would stand in the means and rates for hundreds of requests. */
function isCredible({ promptTokens, answer }: AnswerTiming): boolean {
  return Math.max(promptTokens, answer?.tokens ?? 0) <= mostOfOneRequest;
}

/** No context holds more. */
const mostOfOneRequest = 20_000_000;

/** Models whose rates are kept for one backend. */
const maxRated = 100;

function medianOf(rates: readonly (number | undefined)[]): number | undefined {
  const known = rates.filter((rate) => rate !== undefined).toSorted((one, other) => one - other);
  return known[Math.floor(known.length / 2)];
}
