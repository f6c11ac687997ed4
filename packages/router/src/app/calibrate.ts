import { hash } from 'node:crypto';
import { renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { featuresVersion } from '../confidence/features/features.ts';
import type { Calibration } from '../confidence/heads/calibration.ts';
import type { LfoConfig } from '../config/config.ts';
import { createDataFolder } from '../config/data-folder.ts';
import { calibrate, type CalibrationResult } from '../learning/calibrate.ts';
import type { JudgedAnswerRow } from '../records/queries/judged.ts';
import { calibrationsFolder, shippedHeads } from './estimator.ts';

export type { CalibrationResult } from '../learning/calibrate.ts';
export { replay, type Replay, type ReplayOutcome, thresholdForGoal } from '../learning/replay.ts';

/** What the labels on record are good for, by model. */
export function calibrateFrom(judged: readonly JudgedAnswerRow[]): readonly CalibrationResult[] {
  const [base] = shippedHeads().calibrations;
  return base === undefined ? [] : calibrate(judged, base);
}

/** Writes what was learned where a running router finds it within a minute; the name of the file. */
export function writeCalibration(config: Pick<LfoConfig, 'dataDir'>, result: CalibrationResult): string {
  const folder = calibrationsFolder(config);
  createDataFolder(folder);
  // Several engines may have a model of one name.
  const which = hash(
    'sha256',
    JSON.stringify(Object.entries(result.identity).toSorted(([a], [b]) => (a < b ? -1 : 1))),
    'hex',
  ).slice(0, 8);
  const name = `${result.model.toLowerCase().replaceAll(/[^a-z0-9._-]+/g, '-')}-${which}.json`;
  const file = join(folder, name);
  writeFileSync(`${file}.new`, `${JSON.stringify(calibrationFile(result))}\n`, { mode: 0o600 });
  renameSync(`${file}.new`, file);
  return file;
}

function calibrationFile({ model, identity, labels, heads, sharpening, base }: CalibrationResult): object {
  const thresholds: Calibration['thresholds'] = base.thresholds;
  return {
    schema: 1,
    id: `own-${model}`,
    fittedOn: { traces: 'records', n: labels },
    model: Object.fromEntries(Object.entries(identity).filter(([, value]) => typeof value === 'string')),
    features: featuresVersion,
    heads: heads ?? base.heads,
    ...(sharpening !== undefined && { sharpening }),
    thresholds,
  };
}
