import type { GateConfig } from '../config/config.ts';
import type { FleetView } from '../core/backend.ts';
import type { ChatRequest } from '../core/request.ts';
import { expectedCosts } from '../routing/answer-time.ts';
import type { Call, HedgePolicy, PromptSize } from './attempt.ts';

export interface HedgeConfig extends Pick<GateConfig, 'hedge' | 'hedgeShare'> {
  /** What a second of waiting is worth. */
  readonly usdPerSecond: number;
}

/** Requests granted at once after a quiet time. */
const burst = 3;
/** How often an answer is held back, until something is known. */
const assumedRate = 0.4;
const newestWeight = 0.05;

/**
 * Decides whether the cloud is begun beside a local attempt that may yet be held back: where the time it is expected to
 * save is worth more than the money that is expected to be wasted, for a bounded share of the requests.
 */
export class Hedging implements HedgePolicy {
  readonly #config: () => HedgeConfig;
  /** Expected share of held-back answers, without tools and with. */
  readonly #heldBack = { plain: assumedRate, tools: assumedRate };
  #tokens = burst;

  constructor(config: () => HedgeConfig) {
    this.#config = config;
  }

  /**
   * Milliseconds after its local attempt at which a request's cloud attempt begins; undefined: not before the verdict.
   * What is granted is spent. A request whose tools have acted is never hedged: two answers to it may be two acts.
   */
  delayMs(request: ChatRequest, size: PromptSize, fleet: () => FleetView, costOf: Call['costOf']): number | undefined {
    const { hedge, hedgeShare, usdPerSecond } = this.#config();
    if (!hedge) return undefined;
    this.#tokens = Math.min(burst, this.#tokens + hedgeShare);
    if (this.#tokens < 1 || request.messages.some(({ role }) => role === 'tool')) return undefined;
    const expected = expectedCosts(request, size, fleet(), costOf);
    if (expected === undefined) return undefined;
    const { localMs, cloudMs, cloudUsd: usd } = expected;
    // Begun earlier it would save no more, and less would be known of the local answer.
    const delayMs = Math.max(0, localMs - cloudMs);
    const savedMs = Math.min(cloudMs, localMs - delayMs);
    const heldBack = this.#heldBack[kindOf(request)];
    if (heldBack * usdPerSecond * (savedMs / 1000) <= (1 - heldBack) * usd) return undefined;
    this.#tokens -= 1;
    return delayMs;
  }

  /** A local attempt was judged. */
  judged(request: ChatRequest, wasHeldBack: boolean): void {
    const kind = kindOf(request);
    this.#heldBack[kind] += newestWeight * (Number(wasHeldBack) - this.#heldBack[kind]);
  }
}

function kindOf({ tools }: ChatRequest): 'plain' | 'tools' {
  return tools.length > 0 ? 'tools' : 'plain';
}
