/** What the operator wants of the gate instead of a number; each may be absent. */
export interface Goals {
  /** Share of the requests in `auto` that the cloud may answer, 0..1. */
  readonly cloudShare?: number;
  /** US dollars a UTC day. */
  readonly spendPerDay?: number;
  /** US dollars a UTC day beyond which the cloud is asked only by name. */
  readonly spendHardLimit?: number;
  /** Least accuracy, as a share of what the cloud alone would reach, 0..1. */
  readonly quality?: number;
  /** Most requests whose local answer was worse than the cloud's, as a share of all, 0..1. */
  readonly risk?: number;
}

export type GoalName = 'cloud_share' | 'spend_per_day' | 'spend_hard_limit' | 'quality' | 'risk';

/** How one goal stands. */
export interface GoalView {
  readonly goal: GoalName;
  readonly target: number;
  /**
   * `binds`: the threshold in force is this goal's. `held`: another goal is stricter. `too_few_labels`: it has no say yet.
   * `unreachable`: no threshold reaches it, or a budget does not allow the one that would.
   */
  readonly state: 'binds' | 'held' | 'too_few_labels' | 'unreachable' | 'learning';
  /** The threshold it asks for; `null` where it has no say. */
  readonly threshold: number | null;
  /** Where it stands with the threshold in force, in the unit of its target; `null` where not known. */
  readonly estimate: number | null;
  /** 80 % interval of the estimate, from the 10 % to the 90 % quantile. */
  readonly interval: readonly [number, number] | null;
  /** Labelled answers behind it, and how many it needs to have a say. */
  readonly labels: number;
  readonly needs: number;
}

/** What the threshold is now, and why. */
export interface ThresholdView {
  /** 0..1 */
  readonly threshold: number;
  /** `goal`: the goal named below; otherwise where the number was set. */
  readonly from: 'request' | 'goal' | 'environment' | 'override' | 'file' | 'default';
  readonly binding: GoalName | null;
  readonly goals: readonly GoalView[];
}
