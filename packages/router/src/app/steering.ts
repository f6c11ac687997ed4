import type { OverriddenConfig } from '../config/overridden.ts';
import type { ThresholdView } from '../core/goals.ts';
import type { ChatRequest } from '../core/request.ts';
import { goalRows } from '../learning/goal-rows.ts';
import { Settings } from '../learning/settings.ts';
import { Steering } from '../learning/steering.ts';
import { OverrideTable } from '../records/override-table.ts';
import type { Records } from '../records/open-records.ts';
import { recordedUse } from '../records/queries/steering-data.ts';
import type { CalibrationsInForce } from './estimator.ts';
import type { AppOptions } from './running-app.ts';

/** The threshold and the goals behind it, and the settings that may be changed while LFO runs. */
export interface Steered {
  readonly steering: Steering;
  readonly settings: Settings;
  /** What the threshold of this request is, and why. */
  viewFor(request: ChatRequest): ThresholdView;
}

/** @param heads the calibrations in force; looked after once a minute */
export function openSteering(
  { clock, logger: log }: Pick<AppOptions, 'clock' | 'logger'>,
  config: OverriddenConfig,
  records: Records,
  random: () => number,
  heads: CalibrationsInForce,
): Steered {
  const settings = new Settings(config, new OverrideTable(records.store, clock), () => steering.refresh());
  const steering: Steering = new Steering({
    clock,
    random,
    routing: () => config.current().routing,
    thresholdOrigin: () => config.originOf('routing.confidence_threshold'),
    calibrationScores: heads.scores,
    async read() {
      heads.look();
      await settings.load();
      const { judged, ...use } = await recordedUse(records.store, clock.wallMs());
      const known = judged.flatMap(({ score }) => (score === null ? [] : [score]));
      const inForce = new Set(heads.calibrations.map(({ hash }) => hash));
      return { ...use, scores: known, rows: goalRows(judged, inForce) };
    },
    onError: () => log.warn('Goals cannot read the records; the threshold stays as it is.'),
  });
  return {
    steering,
    settings,
    viewFor({ hints: { confidenceThreshold: threshold } }) {
      const view = steering.view();
      return threshold === undefined ? view : { ...view, threshold, from: 'request', binding: null };
    },
  };
}
