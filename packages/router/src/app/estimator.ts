import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readWordWeights } from '../confidence/features/word-weights.ts';
import { readCalibration } from '../confidence/heads/calibration.ts';
import { headsEstimator, type HeadsOptions } from '../confidence/heads/heads-estimator.ts';
import type { ConfidenceEstimator } from '../core/confidence.ts';
import { type JsonValue, parseJson } from '../core/json.ts';

/** The calibration that ships, of the default model; for every other model it stands in as a prior. */
export function shippedHeads(): HeadsOptions {
  return {
    calibrations: [readCalibration(shippedFile('qwen2.5-coder-0.5b.json'))],
    weights: readWordWeights(shippedFile('word-weights.json')),
  };
}

/** The judge of local answers as it ships. Reads its calibration from disk. */
export function shippedEstimator(): ConfidenceEstimator {
  return headsEstimator(shippedHeads());
}

function shippedFile(name: string): JsonValue {
  const folder = fileURLToPath(new URL('../confidence/calibration/', import.meta.url));
  return parseJson(readFileSync(join(folder, name), 'utf8')) ?? null;
}
