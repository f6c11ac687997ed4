import type { CalibrationResult } from '../app/calibrate.ts';
import type { LfoConfig } from '../config/config.ts';
import type { Archive } from '../records/archive.ts';
import { exitCodes, plainText, printLine, type Terminal } from './terminal.ts';

export interface CalibrateSettings {
  readonly sinceMs: number;
  /** Only says what would come of it. */
  readonly dryRun: boolean;
  readonly json: boolean;
}

/** Learns from labelled answers on record how far scores can be believed, and writes what a running LFO takes over. */
export async function calibrateCommand(
  terminal: Terminal,
  archive: Archive,
  config: LfoConfig,
  { sinceMs, dryRun, json }: CalibrateSettings,
): Promise<number> {
  const { calibrateFrom, writeCalibration } = await import('../app/calibrate.ts');
  const judged = await archive.judged({ sinceMs, limit: 50_000 });
  const results = calibrateFrom(judged).map((result) => ({
    result,
    file: dryRun || result.outcome === 'kept' ? undefined : writeCalibration(config, result),
  }));
  if (json) {
    const shown = results.map(({ result, file }) => ({ ...factsOf(result), file: file ?? null }));
    printLine(terminal, JSON.stringify({ answers: judged.length, models: shown }));
    return exitCodes.done;
  }
  if (results.length === 0) printLine(terminal, 'No local answer has been judged in this time: nothing to learn from.');
  for (const { result, file } of results) {
    printLine(terminal, describe(result));
    if (file !== undefined) printLine(terminal, `  written to ${file}; a running LFO takes it over within a minute`);
    else if (result.outcome !== 'kept') printLine(terminal, '  not written (--dry-run)');
  }
  return exitCodes.done;
}

function factsOf({ model, labels, right, outcome, brierBefore, brierAfter, sharpening }: CalibrationResult): object {
  return {
    model,
    labels,
    right,
    outcome,
    brier_before: brierBefore,
    brier_after: brierAfter,
    ...(sharpening !== undefined && { sharpening }),
  };
}

function describe({ model, labels, right, outcome, brierBefore, brierAfter }: CalibrationResult): string {
  const name = plainText(model);
  const counted = `${labels} labelled ${labels === 1 ? 'answer' : 'answers'}, ${right} right`;
  if (outcome === 'kept') {
    const why = labels < 30 ? 'fewer than 30: the calibration stands' : 'all alike: the calibration stands';
    return `${name}: ${counted}; ${why}.`;
  }
  const what = outcome === 'refitted' ? 'heads fitted anew' : 'probabilities moved';
  return `${name}: ${counted}; ${what}, Brier ${figure(brierBefore)} before, ${figure(brierAfter)} after (out of fold).`;
}

function figure(value: number | null): string {
  return value === null ? '-' : value.toFixed(3);
}
