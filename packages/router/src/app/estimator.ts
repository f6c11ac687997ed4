import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { readWordWeights } from '../confidence/features/word-weights.ts';
import { type Calibration, readCalibration } from '../confidence/heads/calibration.ts';
import { headsEstimator, type HeadsOptions } from '../confidence/heads/heads-estimator.ts';
import type { LfoConfig } from '../config/config.ts';
import type { ConfidenceEstimator } from '../core/confidence.ts';
import { type JsonValue, parseJson } from '../core/json.ts';
import type { Logger } from '../core/logger.ts';

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

/** Where `lfo calibrate` leaves what was learned from own labels. */
export function calibrationsFolder({ dataDir }: Pick<LfoConfig, 'dataDir'>): string {
  return join(dataDir, 'calibrations');
}

/** The shipped calibration behind own ones, which are read again once their files have changed. */
export class CalibrationsInForce implements HeadsOptions {
  readonly weights: HeadsOptions['weights'];
  readonly #shipped: readonly Calibration[];
  readonly #config: Pick<LfoConfig, 'dataDir' | 'gate'>;
  readonly #log: Logger;
  #own: readonly Calibration[] = [];
  #seen = '';

  constructor(config: Pick<LfoConfig, 'dataDir' | 'gate'>, log: Logger) {
    const { calibrations, weights } = shippedHeads();
    this.weights = weights;
    this.#shipped = calibrations;
    this.#config = config;
    this.#log = log;
    this.look();
  }

  get calibrations(): readonly Calibration[] {
    return [...this.#own, ...this.#shipped];
  }

  /** Scores of the answers that the one in force was fitted on, where its file has them. */
  get scores(): readonly number[] {
    return this.calibrations.find(({ scores }) => scores.length > 0)?.scores ?? [];
  }

  /** Reads own files that have changed; a broken one is left out and said. A few small files. */
  look(): void {
    const files = this.#files();
    const seen = files.map((file) => `${file} ${statSync(file, { throwIfNoEntry: false })?.mtimeMs}`).join('|');
    if (seen === this.#seen) return;
    this.#seen = seen;
    this.#own = files.flatMap((file) => {
      try {
        return [readCalibration(parseJson(readFileSync(file, 'utf8')) ?? null)];
      } catch (error) {
        this.#log.warn({ file, err: error }, 'A calibration cannot be used; run "lfo calibrate" to make it anew.');
        return [];
      }
    });
    const ids = this.#own.map(({ id, hash }) => `${id} ${hash}`);
    if (ids.length > 0) this.#log.info({ calibrations: ids }, 'Own calibrations are in force.');
  }

  #files(): readonly string[] {
    const { calibration } = this.#config.gate;
    if (calibration !== 'auto') return [calibration];
    const folder = calibrationsFolder(this.#config);
    try {
      return readdirSync(folder)
        .filter((name) => name.endsWith('.json'))
        .toSorted()
        .map((name) => join(folder, name));
    } catch {
      return [];
    }
  }
}

function shippedFile(name: string): JsonValue {
  const folder = fileURLToPath(new URL('../confidence/calibration/', import.meta.url));
  return parseJson(readFileSync(join(folder, name), 'utf8')) ?? null;
}
