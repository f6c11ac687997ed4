import type { Cancellation } from './abort.ts';
import type { Attempt } from './backend.ts';
import type { EmbeddingAnswer, EmbeddingRequest } from './embedding.ts';
import type { Usage } from './events.ts';
import type { ThresholdView } from './goals.ts';
import type { PredictedWait } from './predicted-wait.ts';
import type { Reason } from './reason.ts';
import type { ChatRequest, Mode, Tier } from './request.ts';
import type { ExpectedWorth, RuleVote } from './routing.ts';
import type { AnswerWriter, Delivery } from './sink.ts';
import type { RequestTrace } from './trace.ts';

/** One validated chat request and the way back to whoever sent it; ends when its response does. */
export interface ChatExchange {
  readonly request: ChatRequest;
  /** Aborts with ClientGoneError when the client leaves before its answer is finished. */
  readonly signal: Cancellation;
  /** Monotonic time at which the request's head had arrived. */
  readonly receivedMs: number;
  /** Monotonic time at which its body had arrived. */
  readonly bodyMs: number;
  /** Whether the head of the response has left. */
  hasHead(): boolean;
  /** The way back; call once. Heads and metadata are read from the trace, warnings of the reader are added to it. */
  open(trace: RequestTrace): AnswerWriter;
}

/** As `ChatExchange`, for texts that become vectors. */
export interface EmbeddingExchange extends Omit<ChatExchange, 'request' | 'open' | 'hasHead'> {
  readonly request: EmbeddingRequest;
  /** Writes the answer; resolves when its last byte has left or the client is gone. */
  deliver(answer: EmbeddingAnswer, usage: Usage, trace: RequestTrace): Promise<Delivery>;
  fail(error: unknown, trace: RequestTrace): Promise<Delivery>;
}

export type ModelCapability = 'tools' | 'vision' | 'reasoning' | 'structured_output' | 'infill';

/** One id clients may ask for. */
export interface ListedModel {
  readonly id: string;
  /** Name of the backend, or `lfo` for an alias. */
  readonly ownedBy: string;
  /** Tier the id pins; absent for aliases, which choose, and for a model that both tiers serve. */
  readonly tier?: Tier;
  /** Mode an alias stands for; absent for real models. */
  readonly aliasOf?: Mode;
  /** Of an alias: the largest that is usable now. Absent: unknown. */
  readonly contextTokens?: number;
  /** Absent: unknown. */
  readonly maxOutputTokens?: number;
  /** Beside completions; absent: unknown. */
  readonly capabilities?: readonly ModelCapability[];
  /** It turns texts into vectors and does not chat. */
  readonly embeds?: true;
  /** Of an alias for a single model: that model. */
  readonly standsFor?: string;
  /** Whether it is in memory; absent: not known of servers and clouds. */
  readonly isLoaded?: boolean;
  /** Backends that serve it, each of which `backend/model` names. */
  readonly servers?: readonly { readonly id: string; readonly tier: Tier }[];
}

/** What would happen to a request, without running it. */
export interface RouteExplanation {
  readonly mode: Mode;
  /** Tier of the first attempt; absent when nothing can take the request. */
  readonly route?: Tier;
  /** The decisive one first. */
  readonly reasons: readonly Reason[];
  readonly attempts: readonly Attempt[];
  /** What the operator's rules said. */
  readonly rules?: readonly RuleVote[];
  readonly threshold: number;
  /** Why it is what it is, and how the goals stand. */
  readonly steering?: ThresholdView;
  readonly promptTokens: number;
  readonly promptTokensFrom: 'count' | 'bound' | 'estimate';
  /** What the prompt probably has, where `promptTokens` is but a bound; absent: `promptTokens`. */
  readonly expectedTokens?: number;
  /** Of these, already in the local model's cache; 0 when unknown. */
  readonly warmTokens?: number;
  /** What a local attempt is expected to be worth; absent: nobody asks, or too little is known. */
  readonly expected?: ExpectedWorth;
  /** The operator's numbers that steer `auto`. */
  readonly limits?: { readonly maxLocalTokens: number; readonly firstTokenBudgetMs: number };
  /** Each backend that an attempt may use, the likeliest of each attempt first. */
  readonly candidates?: readonly RouteCandidate[];
  /** Candidates that would be passed over, and why. */
  readonly skipped: readonly { readonly backend: string; readonly why: string }[];
}

/** One backend that may answer a request, as routing sees it now. */
export interface RouteCandidate {
  readonly tier: Tier;
  readonly backend: string;
  /** Model it would be asked for; absent while it has reported none. */
  readonly model?: string;
  readonly state: 'ready' | 'loading' | 'down';
  readonly breaker: 'closed' | 'open' | 'half-open';
  /** What it waits for, or what is wrong with it. */
  readonly detail?: string;
  readonly inFlight: number;
  readonly maxInFlight?: number;
  /** Every place is taken: it would be waited for, or passed over for the cloud. */
  readonly isFull: boolean;
  /** Milliseconds for which its provider asked not to be asked. */
  readonly pausedMs?: number;
  /** Why it would not be asked; absent when it would. */
  readonly skipped?: string;
  /** Until its first token; absent until its rate of reading has been measured. */
  readonly wait?: PredictedWait;
  /** Predicted work, by which the local tier is balanced: to its last token, penalties included; absent: not asked now. */
  readonly predictedMs?: number;
}

/** How ready the process is to answer; reasons are for those who hold a key. */
export interface Readiness {
  readonly ready: boolean;
  readonly reasons: readonly string[];
}
