import type { Tier } from '../core/request.ts';
import type { GroupedSummary, RecordGap } from './archive.ts';
import type { Capture, RequestView } from './request-view.ts';

export type { GroupedSummary, SummaryGroup } from './archive.ts';

/** What was recorded, as questions of people: each answer is bounded in size, whatever the database holds. */
export interface RequestHistory {
  /** Newest first. */
  page(filter: RequestFilter, limit: number): Promise<RequestPage>;
  find(id: string): Promise<StoredRequest | undefined>;
  trends(query: TrendQuery): Promise<Trends>;
  confidence(range: TrendRange): Promise<ConfidenceReport>;
  /** Sums of a span, and of each group where a dimension is named. */
  usage(span: UsageSpan, by?: 'client_key' | 'model' | 'backend' | 'device'): Promise<GroupedSummary>;
  /** What did not get an answer, by its cause; the most frequent first. */
  errors(span: UsageSpan): Promise<readonly ErrorGroup[]>;
  /** Every request that fits, the newest first, one at a time. */
  rows(filter: RequestFilter, limit: number): AsyncIterable<RequestView>;
  /** What labels say of local answers. */
  learning(range: TrendRange): Promise<LearningReport>;
  /** The latest verdict on a request counts. */
  addFeedback(feedback: Feedback): Promise<void>;
}

/** Unix milliseconds, the end exclusive. */
export interface UsageSpan {
  readonly fromMs: number;
  readonly untilMs: number;
  /** Of one key or model alone; sums of errors take no notice of it. */
  readonly clientKey?: string;
  readonly model?: string;
}

/** Requests without an answer, of one cause. */
export interface ErrorGroup {
  readonly code: string;
  readonly source: 'lfo' | 'upstream';
  readonly status: number;
  /** Refused before anything was tried. */
  readonly isTurnedAway: boolean;
  readonly count: number;
  /** Keys that met it. */
  readonly keys: number;
  /** Id of the latest of them. */
  readonly latestId: string;
}

/** Absent fields do not filter. */
export interface RequestFilter {
  readonly route?: Tier;
  readonly outcome?: 'ok' | 'failed' | 'refused' | 'left' | 'degraded' | 'escalated';
  readonly backend?: string;
  readonly reason?: string;
  /** Id of a key. */
  readonly key?: string;
  readonly model?: string;
  readonly mode?: string;
  readonly dialect?: string;
  readonly device?: string;
  readonly status?: number;
  /** Whether it offered tools. */
  readonly tools?: boolean;
  readonly error?: string;
  /** US dollars, at least. */
  readonly minCostUsd?: number;
  /** Milliseconds, at least. */
  readonly minMs?: number;
  /** Unix milliseconds of arrival. */
  readonly fromMs?: number;
  readonly untilMs?: number;
  /** Only requests older than the one with this id. */
  readonly before?: string;
}

export interface RequestPage {
  readonly requests: readonly RequestView[];
  /** `before` of the next page; `null` at the end. */
  readonly next: string | null;
}

/** A recorded request and what was said about it. */
export interface StoredRequest {
  readonly view: RequestView;
  /** Id of the key it belongs to; `null` where none is known. */
  readonly clientKey: string | null;
  readonly feedback: FeedbackView | null;
  /** What the policies knew and the judges saw, as recorded. */
  readonly features: unknown;
  readonly signals: unknown;
  /** `null` where prompt and answer were not kept, or no longer are. */
  readonly capture: Capture | null;
}

export type Verdict = 'good' | 'bad';

/** What a person or a program thought of an answer. */
export interface Feedback {
  readonly requestId: string;
  readonly clientKey: string;
  readonly verdict: Verdict;
  /** Where the request should have gone. */
  readonly expectedRoute?: Tier;
}

export interface FeedbackView {
  readonly timeMs: number;
  readonly verdict: Verdict;
  readonly expectedRoute: Tier | null;
}

/** How far to look back, and in steps of what length. */
export const trendRanges = {
  '1h': { spanMs: 3_600_000, stepMs: 60_000 },
  '6h': { spanMs: 21_600_000, stepMs: 300_000 },
  '24h': { spanMs: 86_400_000, stepMs: 1_800_000 },
  '7d': { spanMs: 604_800_000, stepMs: 7_200_000 },
  '30d': { spanMs: 2_592_000_000, stepMs: 28_800_000 },
} as const;

export type TrendRange = keyof typeof trendRanges;

/** The latest steps of a named range; the last one is under way. */
export function latestOf(range: TrendRange, untilMs: number): TrendQuery {
  const { spanMs, stepMs } = trendRanges[range];
  return { fromMs: untilMs - spanMs, untilMs, stepMs };
}

/** What a chart is about. */
export interface TrendQuery {
  /** Unix milliseconds; the steps cover both. */
  readonly fromMs: number;
  readonly untilMs: number;
  /** A multiple of a minute; absent: as long as fits the span. */
  readonly stepMs?: number;
  /** Of the requests of this key, or for this model, alone. */
  readonly clientKey?: string;
  readonly model?: string;
}

/** Columns of one length, one value a step, the oldest first; steps are aligned to the epoch. */
export interface Trends {
  readonly stepMs: number;
  /** Unix milliseconds at which each step begins. */
  readonly timesMs: readonly number[];
  /** Requests answered by each tier, and those that were not; together they are all. */
  readonly local: readonly number[];
  readonly cloud: readonly number[];
  readonly failed: readonly number[];
  readonly refused: readonly number[];
  readonly left: readonly number[];
  /** Of `cloud`: tried locally first. */
  readonly escalated: readonly number[];
  /** `cloud` are answers that it gave at once; those after a local attempt are apart. */
  readonly latency: Readonly<Record<'local' | 'cloud' | 'escalated', Percentiles>>;
  readonly firstToken: Readonly<Record<'local' | 'cloud' | 'escalated', Percentiles>>;
  readonly promptTokens: readonly number[];
  readonly completionTokens: readonly number[];
  readonly costUsd: readonly number[];
  readonly savedUsd: readonly number[];
  /** Spent in the local attempts of those escalated. */
  readonly escalatedLocalMs: readonly number[];
  /** Mean wait for the local first token, as predicted and as it was; `null` where nothing was predicted. */
  readonly predictedWaitMs: readonly (number | null)[];
  readonly waitMs: readonly (number | null)[];
  /** When rows were lost: the columns fall short there. The latest few, the oldest of them first. */
  readonly gaps: readonly RecordGap[];
  /** Starts and changes of the configuration, the oldest first. */
  readonly marks: readonly TrendMark[];
}

export interface TrendMark {
  readonly timeMs: number;
  readonly kind: 'start' | 'configuration';
  readonly router: string;
  readonly detail: string;
}

/** Milliseconds, within 5 %; `null` where nothing was measured. */
export interface Percentiles {
  readonly p50: readonly (number | null)[];
  readonly p95: readonly (number | null)[];
  /** Over the whole range. */
  readonly all: { readonly p50: number | null; readonly p95: number | null };
}

/** What the judges saw, over the latest requests of the range. */
export interface ConfidenceReport {
  readonly range: TrendRange;
  /** Requests looked at. */
  readonly sampled: number;
  /** The sample is full: older requests of the range were left out. */
  readonly isCapped: boolean;
  /** Threshold of the latest request; `null` without any. */
  readonly threshold: number | null;
  /** Twenty bins of width 0.05, by what became of the local answer. */
  readonly histogram: Readonly<Record<JudgedOutcome, readonly number[]>>;
  /** Judged answers without a score. */
  readonly withoutScore: number;
  /** Ten bins of width 0.1 over answers with a verdict; empty bins are left out. */
  readonly reliability: readonly ReliabilityBin[];
  readonly labelled: number;
  /**
   * What each threshold would have done to the scored answers, in steps of 0.05 and at the present one. Answers of mode
   * `local`, which stay whatever their score, are neither here nor in the histogram.
   */
  readonly replay: readonly ReplayPoint[];
  /** Mean price of a cloud answer in the sample; `null` without any. */
  readonly cloudAnswerUsd: number | null;
}

/** What is known of local answers from labels, over the latest ones of the range. */
export interface LearningReport {
  readonly range: TrendRange;
  readonly judged: number;
  readonly labelled: number;
  /** How many labels each source gave. */
  readonly bySource: Readonly<Record<string, number>>;
  readonly reliability: readonly ReliabilityBin[];
  /** What each threshold makes of the labelled answers; empty while there are too few. */
  readonly cascade: readonly CascadePoint[];
  /** Share that is right, of answers that stayed and of those that went on; `null` without labels. */
  readonly rightOfKept: number | null;
  readonly rightOfEscalated: number | null;
  /** What the local model did beside the cloud; `null` where nothing ran so. */
  readonly shadow: ShadowReport | null;
  readonly models: readonly LearningGroup[];
  readonly keys: readonly LearningGroup[];
}

export interface CascadePoint {
  readonly threshold: number;
  /** Of the labelled answers, the share that goes to the cloud, and the share that is right in the end. */
  readonly cloudShare: number;
  readonly quality: number;
}

export interface ShadowReport {
  readonly answers: number;
  /** Share that could have stayed local at the threshold then. */
  readonly couldStay: number;
  /** Share of the labelled ones that would have stayed and was wrong; `null` without labels. */
  readonly harm: number | null;
  readonly labelled: number;
}

/** Judged answers of one model, or of one key. */
export interface LearningGroup {
  readonly name: string;
  readonly answers: number;
  readonly kept: number;
  readonly labelled: number;
  /** Of the labelled ones. */
  readonly right: number | null;
  /** Hash of the calibration of the latest. */
  readonly calibration: string | null;
  readonly isPrior: boolean;
}

/** `refused`: escalated for another reason than its score, which no threshold changes. */
export type JudgedOutcome = 'kept' | 'escalated' | 'refused' | 'degraded';

export interface ReliabilityBin {
  /** Mean score of the bin. */
  readonly score: number;
  /** Share of good answers, 0..1. */
  readonly good: number;
  readonly count: number;
}

export interface ReplayPoint {
  readonly threshold: number;
  /** Scored answers that would have stayed local, and that would have gone to the cloud. */
  readonly kept: number;
  readonly escalated: number;
  /** Of those kept, the ones with a verdict. */
  readonly keptGood: number;
  readonly keptBad: number;
}
