import type { Cancellation } from './abort.ts';
import type { Clock } from './clock.ts';
import type { ModelIdentity } from './confidence.ts';
import type { Embedder } from './embedding.ts';
import type { BackendError } from './errors.ts';
import type { InferenceEvent, Usage } from './events.ts';
import type { Source } from './flow.ts';
import type { ChatRequest, Tier } from './request.ts';
import type { ViaHop } from './trace.ts';

/** One engine behind a uniform seam: an embedded model, a device, a model server, a cloud provider. */
export interface Backend {
  /** Unique in the fleet, stable across restarts; from configuration. */
  readonly id: string;
  readonly tier: Tier;
  /** Model ids it serves, the default first. May grow when the backend reports. */
  readonly models: readonly string[];
  /** Of its default model. */
  readonly capabilities: Capabilities;
  /** Of one of its models; absent: all are alike. */
  capabilitiesOf?(model: string): Capabilities;
  /** Models that may stand in, in order, where the one asked for is limited, broken or unknown. */
  readonly standIns?: readonly string[];
  /** Models of its entry that its server hands on to a cloud, as it said last: they are of the cloud tier. */
  readonly handedOn?: readonly string[];
  /** How clients name a paired device; undefined for all others. */
  label?(): DeviceLabel | undefined;
  /** What bears on how soon it would answer by one of its models; absent: its status says all. Cheap. */
  load?(model: string): BackendLoad;
  /** Number of weights of one of its models; absent for backends whose models the operator has chosen by hand. */
  weightsOf?(model: string): number | undefined;
  /** A background request that runs there without a word yet gives its place to an interactive one; absent: it does not. */
  readonly preempts?: boolean;
  /** Wakes its machine where that is possible and it is away; its status says `loading` until it is up or given up. */
  readonly wake?: (() => void) | undefined;
  /** What the pool knows without asking. Cheap: called for every request. */
  status(): BackendStatus;
  /**
   * Runs one request. Yields batches, those events together that came together. Grammar over all of them: start
   * (text|reasoning|refusal|tool-call|scores|self-report)* finish; finish once and last. Throws BackendError. Stops the
   * upstream within 250 ms when the signal aborts, then throws its reason. Nothing need be read after `finish`.
   */
  infer(request: ChatRequest, call: CallContext): Source<readonly InferenceEvent[]>;
  /**
   * The same events as one batch, for an answer of which nothing is needed before its end: one exchange instead of a
   * stream, without a sign of life. Absent: it is not asked for in one piece.
   */
  complete?(request: ChatRequest, call: CallContext): Promise<readonly InferenceEvent[]>;
  /** Scores cost it time, so they are asked for only where something judges; absent: they come in any case. */
  readonly scoresOnDemand?: boolean;
  /** What is known of the model that would answer; absent: its name alone. */
  identify?(model: string): ModelIdentity;
  /** Whether it has models that chat; absent: it has. */
  readonly chats?: boolean;
  /** Its models that turn texts into vectors; absent: it has none. */
  readonly embedder?: Embedder;
  /** Exact prompt tokens with template and tools, where the backend can count; else `undefined`. */
  countTokens?(request: ChatRequest, signal: Cancellation): Promise<PromptCount | undefined>;
  /** Goes on with a text as it stands where its server can, and warns where it cannot; absent: it answers it as a message. */
  readonly goesOnWithTexts?: true;
  /** Has what Google's own servers do for a model (search, say) done where the request wants it, and says where not; absent: it does not. */
  readonly runsGoogleTools?: true;
  /** It is another LFO: its models are listed under its name too. */
  readonly isRouter?: true;
  /**
   * It is one of several alike: a conversation's place among them is computed, so that all routers choose the same one.
   * `strict` where its load is known, so that nothing but load moves a conversation; absent: remembered by each router.
   */
  readonly affinity?: 'strict' | 'loose';
  /** Asks how busy it is, for `status`; absent: it does not say. Never rejects. */
  readLoad?(signal: Cancellation): Promise<void>;
  /** Cheap; never runs inference. */
  probe(signal: Cancellation): Promise<BackendStatus>;
  /** Idempotent; running calls end with an error. */
  close(): Promise<void>;
}

/** What a device says of itself that bears on how soon it would answer. */
export interface BackendLoad {
  readonly rttMs: number;
  /** Requests that the model answers at once. */
  readonly slots: number;
  /** Requests of other routers that it works on or that wait there. */
  readonly foreign: number;
  /** The model is in memory. */
  readonly isResident: boolean;
  /** To get it there. */
  readonly loadMs: number;
  /** 0 none to 6 shut-down. */
  readonly thermal?: number;
  /** 0..100. */
  readonly batteryPct?: number;
  readonly isCharging?: boolean;
  readonly isSaving?: boolean;
  /** Tokens in its cache of the prompt whose beginnings have these hashes. */
  warm(prefixes: () => readonly string[]): number;
}

/** What a paired device is called, and which of its models. */
export interface DeviceLabel {
  /** `<model>@<name>` always reaches it. */
  readonly name: string;
  /** Models that the operator lets clients ask for by their plain id, where nobody else has it. */
  readonly plainModels: readonly string[];
}

/** The prompt of one request as a backend's own tokenizer and template make it. */
export interface PromptCount {
  readonly tokens: number;
  /** Those that are in its cache already and need not be read again; absent: unknown. */
  readonly warmTokens?: number;
}

/** What a backend can do; `undefined` means unknown, which never excludes it. */
export interface Capabilities {
  readonly contextTokens?: number;
  /** Most tokens of an answer; absent: unknown. */
  readonly maxOutputTokens?: number;
  readonly tools: boolean;
  /** Answers with calls alone: of no use where the request offers no tools. */
  readonly toolsOnly?: boolean;
  readonly jsonSchema: boolean;
  /** Goes on with a text as it stands; absent: not said apart from the backend's own `goesOnWithTexts`. */
  readonly texts?: boolean;
  /** Fills in the middle of a text; absent: it does not. */
  readonly infill?: boolean | 'unknown';
  /** Thinks before it answers; absent: unknown, or it does not. */
  readonly reasoning?: boolean;
  readonly images: boolean;
  readonly audio: boolean;
  /** Scores of its own tokens, usable by the gate. */
  readonly logprobs: boolean;
}

/** A snapshot; numbers are measured, absent until then. */
export interface BackendStatus {
  readonly state: 'ready' | 'loading' | 'down';
  /** Shown to those who hold a key: what it is doing, or what is wrong and what to do about it. */
  readonly detail?: string;
  /** Fraction 0..1 of a download or load under way. */
  readonly progress?: number;
  /** Tokens per second, as the backend says. In the fleet's view: of its default model, measured where it was. */
  readonly prefillRate?: number;
  readonly decodeRate?: number;
  readonly active?: number;
  readonly queued?: number;
  readonly slots?: number;
  /** As of `Rates`; in the fleet's view alone. */
  readonly fixedMs?: number;
}

/** What one attempt at one backend may use and must obey. */
export interface CallContext {
  readonly signal: Cancellation;
  readonly clock: Clock;
  /** The model id to ask this backend for. */
  readonly model: string;
  /** Monotonic time by which the whole request must be over. */
  readonly deadlineMs?: number;
  /** The answer will be judged: take scores even where the client asked for none. */
  readonly wantScores: boolean;
  /** Text tokens whose scores the gate reads, those of tool calls begun among them aside; absent: all. */
  readonly scoredTokens?: number;
  /** Alternatives wanted beside each score; absent: none. */
  readonly alternatives?: number;
  /** Backends that a rule keeps the request from; absent: none. */
  readonly avoid?: readonly string[];
  /** Names a request parameter this backend cannot honour (`x-lfo-warning`). Idempotent for each name. */
  warn(param: string, why: string): void;
  /** The backend is alive though silent (queued, prefill): extends the first-token budget. */
  keepAlive(): void;
  /** The backend works on the request no more, though not all of its answer has been taken yet. */
  finished?(usage: Usage): void;
  /** Whether the client has seen nothing of the answer and another backend could take the request now; absent: no. */
  mayFailOver?(): boolean;
  /** The backend was away in the middle of the request and goes on with it. */
  resumed?(): void;
  /** The answer came through other LFOs, the nearest first. */
  cameVia?(hops: readonly ViaHop[]): void;
}

/** One planned try: a tier, or one backend of it. */
export interface Attempt {
  readonly tier: Tier;
  /** Only this backend (a pinned model). */
  readonly backend?: string;
  /** Only this model id; absent: the backend's default. */
  readonly model?: string;
  /** Texts are turned into vectors, by `model`. */
  readonly embeds?: boolean;
  /** Backends that a rule forbids. */
  readonly avoid?: readonly string[];
  /** The backend that a rule prefers, where it can be asked. */
  readonly prefer?: string;
  /** Whether the answer is judged before it is released; false for the last resort. */
  readonly gated: boolean;
  /** Of an answer that is not gated: why it is judged all the same; absent: `observe`. */
  readonly policy?: 'observe' | 'shadow';
  /** Only where the model of the attempt before it was limited, broken or unknown; `backend` may have failed there. */
  readonly isStandIn?: boolean;
}

/** How fast a model runs on a backend. Rates are tokens per second; what is not known is absent. */
export interface Rates {
  readonly prefillRate?: number;
  /** Milliseconds to the first token besides those of reading at `prefillRate`. */
  readonly fixedMs?: number;
  readonly decodeRate?: number;
}

/** One model of a backend, as the fleet's view shows it. */
export interface ModelOffer {
  /** Empty while the backend has reported none. */
  readonly model: string;
  readonly capabilities: Capabilities;
  /** As the router has measured them, else as the backend reports; absent: not told apart by model. */
  readonly rates?: Rates;
  /** Milliseconds for which neither it nor a model that stands in for it is to be asked; absent: none. */
  readonly pausedMs?: number;
}

/** Immutable snapshot of all backends for policies, explanations and the dashboard. */
export interface FleetView {
  readonly backends: readonly BackendView[];
}

export interface BackendView {
  readonly id: string;
  readonly tier: Tier;
  readonly models: readonly string[];
  readonly capabilities: Capabilities;
  /** One for each of `models`, in their order; absent: all are alike. Read with `offersOf`. */
  readonly offers?: readonly ModelOffer[];
  readonly standIns?: readonly string[];
  readonly device?: DeviceLabel;
  readonly status: BackendStatus;
  readonly breaker: 'closed' | 'open' | 'half-open';
  /** Requests running through the router now. */
  readonly inFlight: number;
  /** Requests it may be given at once; absent: any number. */
  readonly maxInFlight?: number;
  /** Predicted milliseconds until it has a place for one more; 0 while it has, absent: unknown. */
  readonly queueMs?: number;
  /** An operator lets it finish what it has and gives it nothing new; absent: no. */
  readonly isDraining?: boolean;
  /** Milliseconds for which its breaker keeps it out; absent: none. */
  readonly ejectedMs?: number;
  /** Milliseconds that count against it although it may be asked; absent: none. */
  readonly handicapMs?: number;
  /** New or just back: given one request at a time until it has proven itself; absent: no. */
  readonly isSlowStart?: boolean;
}

/** Result of one attempt as its breaker counts it: neutral is the client's leaving, our own 4xx, a lost race. */
export type Outcome = 'success' | 'failure' | 'neutral';

/** One backend held for one attempt; ends exactly once, later calls do nothing. */
export interface Lease {
  readonly backend: Backend;
  /** Model id to ask for. */
  readonly model: string;
  /** How fast it runs that model, as far as it is known. */
  readonly rates: () => Rates;
  /**
   * The error, where there is one, tells rate limits and key faults apart from the backend's ill health; the timing feeds
   * predictions.
   */
  done(outcome: Outcome, error?: unknown, timing?: AnswerTiming): void;
  /** The first word of the model has come. */
  begun(): void;
}

/** How long an answer took, so far as it came. */
export interface AnswerTiming {
  /** From the lease to the first token. */
  readonly firstTokenMs: number;
  /** As the backend counted them. */
  readonly promptTokens: number;
  /** Of these, from its cache. */
  readonly cachedTokens: number;
  /** From the first token to the last, of an answer that came to its end and that nobody kept waiting. */
  readonly answer?: { readonly tokens: number; readonly ms: number };
}

/** Backends of one or both tiers with balancing and breakers. */
export interface BackendPool {
  /**
   * Picks among eligible backends; may queue until the signal aborts.
   * @throws NoBackendError listing why each candidate was skipped.
   */
  acquire(attempt: Attempt, choice: PoolChoice): Promise<Lease>;
  /** Whether some backend could take the attempt, at once or when it has room. */
  hasCandidate(attempt: Attempt, asked: Omit<PoolChoice, 'signal'>): boolean;
  /** Predicted milliseconds to the last token at each backend that could be given the attempt, full ones included, by id. */
  predict(attempt: Attempt, choice: PoolChoice): ReadonlyMap<string, number>;
  /** Wakes a sleeping machine that could take the attempt, where no other backend is up that could. */
  wake(attempt: Attempt, asked: Omit<PoolChoice, 'signal'>): void;
  view(): FleetView;
  /**
   * As `view`, and up to 100 ms old: the same object until a member comes, goes, or changes its state, its breaker, its
   * draining or its pause, so that what was decided over it can be kept. Whoever is asked is looked at again.
   */
  snapshot(): FleetView;
}

export interface PoolChoice {
  readonly request: ChatRequest;
  readonly signal: Cancellation;
  /** Ids that have already failed this request. */
  readonly exclude: ReadonlySet<string>;
  readonly promptTokens: number;
  /** How the number came about; absent: counted. */
  readonly promptTokensFrom?: 'count' | 'bound' | 'estimate';
  /** Tokens that one backend has in its cache, as it counted. */
  readonly warmTokens?: number;
  readonly warmBackend?: string;
}

/** What a failure means for the lease that carried it. */
export function outcomeOf(error: unknown, isBackendError: (e: unknown) => e is BackendError): Outcome {
  return isBackendError(error) && error.countsAgainstBackend ? 'failure' : 'neutral';
}
