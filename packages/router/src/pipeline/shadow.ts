import type { Attempt as PlannedAttempt } from '../core/backend.ts';
import type { GateConfig } from '../config/config.ts';
import { type Clock, sleep } from '../core/clock.ts';
import type { InferenceEvent } from '../core/events.ts';
import type { ChatRequest } from '../core/request.ts';
import type { RequestFollower, RequestSink } from '../core/sink.ts';
import type { RequestTrace } from '../core/trace.ts';
import type { Call, ComparedAnswers, Stages } from './attempt.ts';
import { attemptAside } from './attempt-aside.ts';

export interface ShadowsOptions {
  readonly clock: Clock;
  /** 0..1, uniform. */
  readonly random: () => number;
  readonly gate: () => Pick<GateConfig, 'policy' | 'shadowRate'>;
  readonly stagesFor: (request: ChatRequest) => Stages;
  readonly costOf: Call['costOf'];
  readonly compared: (answers: ComparedAnswers) => void;
  /** Keeps the judgement of a local answer that ran beside the one that was given. */
  readonly record: (trace: RequestTrace, clientKey: string | undefined, firstAttempt: number) => void;
  /** Money that a second answer of the cloud has cost. */
  readonly spent: (usd: number) => void;
}

interface Waiting {
  readonly request: ChatRequest;
  readonly trace: RequestTrace;
  readonly answer: readonly InferenceEvent[];
  readonly tier: 'local' | 'cloud';
  readonly propensity: number;
}

/**
 * Runs a second model on requests that have been answered, to learn from the comparison: under the policy `shadow` the
 * local model on what the cloud answered, and at `shadow_rate` the cloud on accepted local answers. Afterwards, one at a
 * time and only while the local tier is idle, so that no client waits for it; what does not get its turn is dropped.
 * Requests in mode `local` are never shown to the cloud, and none to what a rule keeps it from.
 */
export class Shadows implements RequestSink {
  readonly #options: ShadowsOptions;
  readonly #waiting: Waiting[] = [];
  readonly #over = new AbortController();
  #isRunning = false;

  constructor(options: ShadowsOptions) {
    this.#options = options;
  }

  begin(request: ChatRequest, trace: RequestTrace): RequestFollower {
    const { policy, shadowRate } = this.#options.gate();
    const isDrawn = policy === 'judge' && shadowRate > 0 && this.#options.random() < shadowRate;
    if (request.hints.mode === 'local' || (policy !== 'shadow' && !isDrawn)) return { ended: nothing };
    if (isDrawn && trace.mode === 'auto') trace.mayBeShadowed = true;
    const answer: InferenceEvent[] = [];
    return {
      wrote: (events) => void answer.push(...events),
      ended: ({ status, error }) => {
        if (status !== 200 || error !== undefined || trace.degraded) return;
        const isUntried = trace.attempts.every(({ tier }) => tier === 'cloud');
        const isKept = trace.route === 'local' && trace.attempts.at(-1)?.judgement?.policy === 'judge';
        if (policy === 'shadow' && trace.route === 'cloud' && isUntried)
          this.#add({ request, trace, answer, tier: 'local', propensity: 1 });
        if (trace.mayBeShadowed === true && isKept)
          this.#add({ request, trace, answer, tier: 'cloud', propensity: shadowRate });
      },
    };
  }

  /** Ends what runs and forgets what waits. */
  close(): void {
    this.#waiting.length = 0;
    this.#over.abort(new Error('LFO ends.'));
  }

  #add(waiting: Waiting): void {
    if (this.#over.signal.aborted || this.#waiting.length >= mostWaiting) return;
    this.#waiting.push(waiting);
    if (!this.#isRunning) void this.#run();
  }

  async #run(): Promise<void> {
    this.#isRunning = true;
    for (let next = this.#waiting.shift(); next !== undefined; next = this.#waiting.shift()) {
      try {
        if (next.tier === 'cloud' || (await this.#isIdle(next.request))) await this.#compare(next);
      } catch {
        // Nobody waits for it: the next one may fare better.
      }
    }
    this.#isRunning = false;
  }

  /** Waits for a moment without local work. */
  async #isIdle(request: ChatRequest): Promise<boolean> {
    const { clock, stagesFor } = this.#options;
    const { pool } = stagesFor(request);
    for (let tries = 0; tries < idleTries; tries += 1) {
      if (pool.view().backends.every(({ tier, inFlight }) => tier !== 'local' || inFlight === 0)) return true;
      await sleep(clock, idleLookMs, this.#over.signal);
    }
    return false;
  }

  async #compare({ request, trace, answer, tier, propensity }: Waiting): Promise<void> {
    const { stagesFor, costOf, compared, record, spent } = this.#options;
    const stages = stagesFor(request);
    const { promptTokens = 0, promptTokensFrom = 'estimate', threshold } = trace;
    const { tiers = [], backends: avoid = [] } = trace.ruledOut ?? {};
    if (tiers.includes(tier)) return;
    const planned: PlannedAttempt = { tier, avoid, gated: false, policy: 'shadow' };
    const asked = { signal: this.#over.signal, costOf, deadlineMs: undefined, threshold };
    const size = { promptTokens, promptTokensFrom, warmTokens: 0 };
    const aside = await attemptAside(planned, request, asked, stages, size);
    if (aside === undefined) return;
    const { end, events: other, trace: own } = aside;
    if (tier === 'cloud') spent(costOf(own.attempts) ?? 0);
    if (end.type !== 'answered') return;
    if (tier === 'local') record(own, request.hints.clientKey, trace.attempts.length);
    const [local, cloud] = tier === 'local' ? [other, answer] : [answer, other];
    const attempt = tier === 'local' ? trace.attempts.length : trace.attempts.length - 1;
    compared({ request, attempt, local, cloud, propensity });
  }
}

function nothing(): void {}

const mostWaiting = 16;
const idleLookMs = 250;
const idleTries = 120;
