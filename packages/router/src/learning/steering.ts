import {
  type GoalEstimate,
  type GoalRow,
  qualityAtThreshold,
  riskAtThreshold,
  ShareTracker,
  thresholdForQuality,
  thresholdForRisk,
  thresholdForShare,
} from '../confidence/goals.ts';
import type { Clock } from '../core/clock.ts';
import type { Goals, GoalName, GoalView, ThresholdView } from '../core/goals.ts';
import type { ChatRequest } from '../core/request.ts';
import type { AnswerGoal, RoutingLimits } from '../core/routing.ts';
import type { RequestFollower, RequestSink } from '../core/sink.ts';
import type { RequestTrace } from '../core/trace.ts';

/** What was recorded, as far as goals need it. */
export interface SteeringData {
  /** Scores of the latest judged answers. */
  readonly scores: readonly number[];
  /** Those that have a label. */
  readonly rows: readonly GoalRow[];
  /** US dollars spent on the UTC day that this was read on. */
  readonly spentTodayUsd: number;
  /** Mean price of an answer of the cloud; undefined while no price is known. */
  readonly cloudAnswerUsd: number | undefined;
  /** Requests of the last 24 hours, and how long before now the first of them came. */
  readonly requests: number;
  readonly observedMs: number;
}

export interface SteeringOptions {
  readonly clock: Clock;
  /** 0..1, uniform. */
  readonly random: () => number;
  /** The operator's settings; asked for each request. */
  readonly routing: () => Pick<RoutingLimits, 'maxLocalTokens' | 'firstTokenBudgetMs' | 'confidenceThreshold'> & {
    readonly goal: Goals;
  };
  /** Where the threshold comes from when no goal has a say. */
  readonly thresholdOrigin: () => ThresholdView['from'];
  /** Scores that the calibration in force gave to the answers it was fitted on: the start of a share. */
  readonly calibrationScores: readonly number[];
  readonly read: () => Promise<SteeringData>;
  /** Told once when reading begins to fail. */
  readonly onError: (error: unknown) => void;
}

interface Found {
  readonly quality: GoalEstimate | undefined;
  readonly risk: GoalEstimate | undefined;
}

/**
 * Turns the operator's goals into the threshold of each request. What goals allow at most (a share, money) bounds it from
 * above, what they demand at least (quality, risk) from below; where both cannot be had the budget holds, and the view says
 * so. Reads the records once a minute, keeps shares and money from request to request, and costs a look-up a request.
 */
export class Steering implements RequestSink {
  readonly #options: SteeringOptions;
  readonly #share = new ShareTracker(0);
  readonly #spend = new ShareTracker(0);
  #data: SteeringData = nothing;
  #sorted: readonly number[];
  #found: Found = { quality: undefined, risk: undefined };
  #goalsSeen = '';
  /** What goals of rules ask for, by what they want; as of the last look at the records. */
  readonly #asked = new Map<string, number | undefined>();
  /** Spent since the records were read, and the UTC day of both. */
  #spentSinceUsd = 0;
  #day = Number.NaN;
  /** Of one UTC day, as counted here: by requests, which the records may not hold, and beside them, which they never do. */
  #counted = { day: Number.NaN, byRequestsUsd: 0, besideUsd: 0 };
  #hasFailed = false;
  #refreshing: Promise<void> | undefined;
  #cancel: (() => void) | undefined;

  constructor(options: SteeringOptions) {
    this.#options = options;
    this.#sorted = options.calibrationScores.toSorted((a, b) => a - b);
  }

  /** Reads what was recorded now and then every minute, until the returned function is called. */
  start(): () => void {
    const again = (): void => {
      void this.refresh().then(() => (this.#cancel = this.#options.clock.schedule(everyMs, again)));
    };
    this.#cancel = this.#options.clock.schedule(firstMs, again);
    return () => this.#cancel?.();
  }

  /** Reads what was recorded; one at a time. Never rejects. */
  refresh(): Promise<void> {
    return (this.#refreshing ??= this.#refresh().finally(() => (this.#refreshing = undefined)));
  }

  /** The numbers for a request that names none of its own. */
  limits(): RoutingLimits {
    const { goal, ...routing } = this.#options.routing();
    if (isEmpty(goal)) return routing;
    const spend = this.#spendState(goal);
    const confidenceThreshold = spend === undefined ? this.#threshold(goal).threshold : 0;
    return { ...routing, confidenceThreshold, ...(spend !== undefined && { spend }) };
  }

  /** The threshold that a rule's goal asks for; undefined while there are too few labels, or none reaches it. */
  thresholdFor(goal: AnswerGoal): number | undefined {
    const key = `${goal.quality} ${goal.risk}`;
    if (!this.#asked.has(key)) {
      const { quality, risk } = this.#find(goal);
      const found = [quality?.threshold, risk?.threshold].filter((threshold) => threshold !== undefined);
      this.#asked.set(key, found.length === 0 ? undefined : Math.max(...found));
    }
    return this.#asked.get(key);
  }

  /** What the threshold is now, why, and how each goal stands. */
  view(): ThresholdView {
    const { goal } = this.#options.routing();
    const { threshold, binding } = this.#threshold(goal);
    const spend = this.#spendState(goal);
    const inForce = spend === undefined ? threshold : 0;
    const bound = spend === 'spent' ? 'spend_hard_limit' : spend === 'over' ? 'spend_per_day' : binding;
    return {
      threshold: inForce,
      from: bound === null ? this.#options.thresholdOrigin() : 'goal',
      binding: bound,
      goals: this.#goalViews(goal, inForce, bound),
    };
  }

  /** Money spent beside requests. */
  addSpent(usd: number): void {
    this.#countedToday().besideUsd += usd;
  }

  begin({ hints }: Pick<ChatRequest, 'hints'>, trace: RequestTrace): RequestFollower {
    return {
      ended: () => {
        const usd = trace.costUsd ?? 0;
        this.#spentSinceUsd += usd;
        this.#countedToday().byRequestsUsd += usd;
        // Only requests that a threshold could have moved.
        const couldMove = trace.mode === 'auto' && hints.confidenceThreshold === undefined && trace.route !== undefined;
        if (!couldMove || Number(trace.features?.['cloud_ready'] ?? 0) === 0) return;
        const isCloud = trace.attempts.some(({ tier, leasedMs }) => tier === 'cloud' && leasedMs !== undefined);
        this.#share.observe(isCloud ? 1 : 0);
        const { cloudAnswerUsd } = this.#data;
        this.#spend.observe(!isCloud ? 0 : cloudAnswerUsd === undefined ? 1 : Math.min(5, usd / cloudAnswerUsd));
      },
    };
  }

  async #refresh(): Promise<void> {
    try {
      const data = await this.#options.read();
      this.#spentSinceUsd = 0;
      this.#day = dayOf(this.#options.clock);
      this.#data = data;
      this.#hasFailed = false;
      this.#asked.clear();
      const own = data.scores.length >= ownScores ? data.scores : [...data.scores, ...this.#options.calibrationScores];
      this.#sorted = own.toSorted((a, b) => a - b);
      this.#found = this.#find(this.#options.routing().goal);
    } catch (error) {
      if (!this.#hasFailed) this.#options.onError(error);
      this.#hasFailed = true;
    }
  }

  /** What reaches a goal by the records; nothing does while there are too few labels. */
  #find({ quality, risk }: AnswerGoal): Found {
    const { rows } = this.#data;
    const isEnough = labelsOf(rows, this.#options.routing().confidenceThreshold).isEnough;
    const { random } = this.#options;
    return {
      quality: quality === undefined || !isEnough ? undefined : thresholdForQuality(rows, quality, random),
      risk: risk === undefined || !isEnough ? undefined : thresholdForRisk(rows, risk),
    };
  }

  /** Goals may change from one request to the next. */
  #follow(goal: Goals): void {
    const seen = `${goal.cloudShare} ${goal.quality} ${goal.risk}`;
    if (goal.cloudShare !== undefined) this.#share.aim(goal.cloudShare);
    const pace = this.#pace(goal);
    if (pace !== undefined) this.#spend.aim(pace);
    if (seen === this.#goalsSeen) return;
    this.#goalsSeen = seen;
    this.#found = this.#find(goal);
  }

  #threshold(goal: Goals): { readonly threshold: number; readonly binding: GoalName | null } {
    this.#follow(goal);
    const { quality, risk } = this.#found;
    const demands = [['quality', quality?.threshold] as const, ['risk', risk?.threshold] as const].flatMap(
      ([name, at]) => (at === undefined ? [] : [{ name, at }]),
    );
    const budgets = [
      ['cloud_share', goal.cloudShare === undefined ? undefined : this.#share] as const,
      ['spend_per_day', this.#pace(goal) === undefined ? undefined : this.#spend] as const,
    ].flatMap(([name, tracker]) =>
      tracker === undefined ? [] : [{ name, at: thresholdForShare(this.#sorted, tracker.quantile) }],
    );
    const demand = demands.toSorted((a, b) => b.at - a.at)[0];
    const budget = budgets.toSorted((a, b) => a.at - b.at)[0];
    // A demand that needs less than the budget allows is met with less.
    if (demand !== undefined && (budget === undefined || demand.at <= budget.at))
      return { threshold: demand.at, binding: demand.name };
    if (budget !== undefined) return { threshold: budget.at, binding: budget.name };
    return { threshold: this.#options.routing().confidenceThreshold, binding: null };
  }

  #spendState({ spendPerDay, spendHardLimit }: Goals): 'over' | 'spent' | undefined {
    const spent = this.#spentToday();
    if (spendHardLimit !== undefined && spent >= spendHardLimit) return 'spent';
    return spendPerDay !== undefined && spent >= spendPerDay ? 'over' : undefined;
  }

  #spentToday(): number {
    const isToday = dayOf(this.#options.clock) === this.#day;
    const recorded = isToday ? this.#data.spentTodayUsd + this.#spentSinceUsd : 0;
    const { byRequestsUsd, besideUsd } = this.#countedToday();
    return Math.max(recorded, byRequestsUsd) + besideUsd;
  }

  #countedToday() {
    const day = dayOf(this.#options.clock);
    if (this.#counted.day !== day) this.#counted = { day, byRequestsUsd: 0, besideUsd: 0 };
    return this.#counted;
  }

  /** The share of the requests left today that the money left pays for; undefined while prices or traffic are unknown. */
  #pace({ spendPerDay }: Goals): number | undefined {
    const { cloudAnswerUsd, requests, observedMs } = this.#data;
    if (spendPerDay === undefined || cloudAnswerUsd === undefined || cloudAnswerUsd <= 0 || requests === 0)
      return undefined;
    const leftMs = dayMs - (this.#options.clock.wallMs() % dayMs);
    const expected = Math.max(1, (requests / Math.max(observedMs, minuteMs)) * leftMs);
    return Math.min(1, Math.max(0, (spendPerDay - this.#spentToday()) / (expected * cloudAnswerUsd)));
  }

  #goalViews(goal: Goals, threshold: number, binding: GoalName | null): readonly GoalView[] {
    const { rows } = this.#data;
    const labels = labelsOf(rows, this.#options.routing().confidenceThreshold);
    const views: GoalView[] = [];
    const budget = (name: GoalName, target: number, at: number | null, estimate: number | null): void => {
      const state = binding === name ? 'binds' : at === null ? 'learning' : 'held';
      views.push({ goal: name, target, state, threshold: at, estimate, interval: null, labels: 0, needs: 0 });
    };
    const demand = (
      name: 'quality' | 'risk',
      target: number,
      found: GoalEstimate | undefined,
      stands: Omit<GoalEstimate, 'threshold'> | undefined,
    ): void => {
      const isDenied = found !== undefined && threshold < found.threshold;
      const state =
        binding === name
          ? 'binds'
          : !labels.isEnough
            ? 'too_few_labels'
            : found === undefined || isDenied
              ? 'unreachable'
              : 'held';
      views.push({
        goal: name,
        target,
        state,
        threshold: found?.threshold ?? null,
        estimate: stands?.estimate ?? null,
        interval: stands?.interval ?? null,
        labels: rows.length,
        needs: neededLabels,
      });
    };
    const at = (tracker: ShareTracker): number => thresholdForShare(this.#sorted, tracker.quantile);
    if (goal.cloudShare !== undefined)
      budget('cloud_share', goal.cloudShare, at(this.#share), this.#share.observed ?? null);
    if (goal.spendPerDay !== undefined)
      budget(
        'spend_per_day',
        goal.spendPerDay,
        this.#pace(goal) === undefined ? null : at(this.#spend),
        this.#spentToday(),
      );
    if (goal.spendHardLimit !== undefined) budget('spend_hard_limit', goal.spendHardLimit, null, this.#spentToday());
    const { random } = this.#options;
    if (goal.quality !== undefined)
      demand(
        'quality',
        goal.quality,
        this.#found.quality,
        labels.isEnough ? qualityAtThreshold(rows, threshold, random) : undefined,
      );
    if (goal.risk !== undefined)
      demand('risk', goal.risk, this.#found.risk, labels.isEnough ? riskAtThreshold(rows, threshold) : undefined);
    return views;
  }
}

/** Escalated answers get labels by themselves; what is said of those that stay must come from somewhere too. */
function labelsOf(rows: readonly GoalRow[], threshold: number): { readonly isEnough: boolean } {
  const kept = rows.reduce((count, { score }) => count + (score >= threshold ? 1 : 0), 0);
  return { isEnough: rows.length >= neededLabels && kept >= neededKept };
}

function isEmpty({ cloudShare, spendPerDay, spendHardLimit, quality, risk }: Goals): boolean {
  return [cloudShare, spendPerDay, spendHardLimit, quality, risk].every((target) => target === undefined);
}

function dayOf(clock: Clock): number {
  return Math.floor(clock.wallMs() / dayMs);
}

const nothing: SteeringData = {
  scores: [],
  rows: [],
  spentTodayUsd: 0,
  cloudAnswerUsd: undefined,
  requests: 0,
  observedMs: 0,
};

/** Labels that a goal needs, and of them of answers that stay local. */
export const neededLabels = 50;
export const neededKept = 15;
/** Own scores from which on those of the calibration are left out. */
const ownScores = 200;
const minuteMs = 60_000;
const everyMs = minuteMs;
const firstMs = 500;
const dayMs = 86_400_000;
