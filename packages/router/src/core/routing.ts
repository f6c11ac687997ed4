import type { Attempt, FleetView } from './backend.ts';
import type { Goals } from './goals.ts';
import type { Reason } from './reason.ts';
import type { ChatRequest, Mode, Tier } from './request.ts';

/** What policies may know of a request: measured once, before the pure decision. */
export interface RequestFeatures {
  readonly request: ChatRequest;
  readonly mode: Mode;
  /** Prompt tokens as the chosen local model sees them, template and tools included. */
  readonly promptTokens: number;
  /** How `promptTokens` came about: counted by the model's tokenizer, bounded from above by bytes, or estimated. */
  readonly promptTokensFrom: 'count' | 'bound' | 'estimate';
  /** What the prompt probably has, where `promptTokens` is but a bound; absent: `promptTokens`. */
  readonly expectedTokens?: number;
  /** Tokens of the prompt already in the local model's cache; 0 when unknown. */
  readonly warmTokens: number;
  /** The backend that has them; absent: any. */
  readonly warmBackend?: string;
  /** The tier that made the tool call whose result this request brings; absent: none, or not known. */
  readonly loopTier?: Tier;
  readonly limits: RoutingLimits;
  /** What a local attempt is expected to be worth; absent: nobody asks, or too little is known. */
  readonly expected?: ExpectedWorth;
  /** When it came, by the router's own clock and zone; absent where no rule asks. */
  readonly localTime?: LocalTime;
}

/** What is expected of a request's answer in either tier. */
export interface ExpectedWorth {
  /** Probability 0..1 that the local answer is right. */
  readonly right: number;
  /** Milliseconds until the local answer can be judged, and until the cloud's begins or, not streamed, is whole. */
  readonly localMs: number;
  readonly cloudMs: number;
  /** Price of the cloud's answer, in US dollars. */
  readonly cloudUsd: number;
  /** What a second of waiting is worth, in US dollars. */
  readonly usdPerSecond: number;
}

/** Days of the week as rules spell them, Sunday first, as JavaScript counts them. */
export const weekdays = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'] as const;

/** A time of the week. */
export interface LocalTime {
  /** 0 is Sunday. */
  readonly day: number;
  /** Since midnight. */
  readonly minute: number;
}

/** What a rule of the operator says of a request that it matches; `backend` is one of the tier. */
export type RuleVote =
  | {
      readonly rule: string;
      readonly type: 'require' | 'prefer' | 'forbid';
      readonly tier: Tier;
      readonly backend?: string;
    }
  | { readonly rule: string; readonly type: 'lane'; readonly lane: 'background' }
  | ({ readonly rule: string; readonly type: 'goal' } & AnswerGoal);

/** What a rule wants of the local answers to the requests that it matches. */
export type AnswerGoal = Pick<Goals, 'quality' | 'risk'>;

/** The operator's numbers. */
export interface RoutingLimits {
  readonly maxLocalTokens: number;
  /** Longest acceptable wait for the first local token in `auto`, in milliseconds. */
  readonly firstTokenBudgetMs: number;
  /** 0..1 */
  readonly confidenceThreshold: number;
  /** The money of the day is over its soft limit, or all spent; absent: neither. */
  readonly spend?: 'over' | 'spent';
}

/** A pure vote: no I/O, no clock, no randomness. */
export interface RoutingPolicy {
  readonly name: string;
  vote(features: RequestFeatures, fleet: FleetView): Vote;
}

/** `require` and `forbid` bind, `prefer` orders. */
export type Vote =
  | { readonly type: 'pass' }
  | { readonly type: 'require' | 'prefer' | 'forbid'; readonly tier: Tier; readonly reason: Reason };

/** Attempts in order, at least one; reasons with the decisive one first. */
export interface Decision {
  readonly attempts: readonly Attempt[];
  readonly reasons: readonly Reason[];
  readonly votes: readonly { readonly policy: string; readonly vote: Vote }[];
  /** The request's mode, as far as a rule tightened it; absent: as it was. */
  readonly mode?: Mode;
  /** A rule lets it wait for everybody else. */
  readonly lane?: 'background';
  /** What a rule wants of a local answer; of several rules the first to say it. */
  readonly goal?: AnswerGoal;
  /** What the operator's rules said; absent: there are none. */
  readonly rules?: readonly RuleVote[];
}
