import { cpus, loadavg } from 'node:os';
import { median } from '../figures.ts';
import type { Cell } from './cells.ts';
import { load, type Sample } from './load.ts';
import type { System } from './systems.ts';

/** What was found, by cell and system; the samples of one round have the same place. */
export class Results {
  readonly #samples = new Map<string, Sample[]>();

  add(cell: Cell, name: string, sample: Sample): void {
    const key = `${cell.name}|${name}`;
    this.#samples.set(key, [...(this.#samples.get(key) ?? []), sample]);
  }

  samples(cell: Cell, name: string): readonly Sample[] {
    return this.#samples.get(`${cell.name}|${name}`) ?? [];
  }

  /** CPU of one system over another's, round by round. */
  ratios(cell: Cell, name: string, to: string): readonly number[] {
    return this.samples(cell, name).flatMap((sample, round) => {
      const other = this.samples(cell, to)[round];
      return other === undefined ? [] : [sample.cpuUs / other.cpuUs];
    });
  }
}

export interface Rounds {
  readonly rounds: number;
  readonly warm: number;
  readonly share: number;
  /** A system has failed in a cell, and is not asked for it again; absent: the first failure ends it all. */
  readonly onFailure?: (system: System, cell: Cell, error: unknown) => void;
}

/**
 * Sends each cell through each system that has a model for it, in turns within a round, the order rotating.
 * `share` of the requests of a cell, and `warm` of them before the first round.
 */
export async function measureInTurns(
  systems: readonly System[],
  cells: readonly Cell[],
  { rounds, warm, share, onFailure }: Rounds,
): Promise<Results> {
  const results = new Results();
  const failed = new Set<string>();
  const measure = async (system: System, cell: Cell, requests: number): Promise<Sample | undefined> => {
    const key = `${cell.name}|${system.name}`;
    if (failed.has(key)) return undefined;
    try {
      return await load(system, cell, Math.max(cell.concurrency, requests));
    } catch (error) {
      if (onFailure === undefined) throw error;
      failed.add(key);
      onFailure(system, cell, error);
      return undefined;
    }
  };
  const able = ({ only, model, isStream }: Cell): readonly System[] =>
    systems.filter(({ name, models, isUnaryOnly }) => {
      const speaks = only === undefined || name === 'lfo' || name === 'before';
      return speaks && models[model] !== undefined && !(isStream && isUnaryOnly === true);
    });
  for (const cell of cells) {
    const before = Math.ceil(warm * share * (cell.isStream ? 0.2 : 1));
    if (before > 0) for (const system of able(cell)) await measure(system, cell, before);
  }
  for (let round = 0; round < rounds; round++) {
    for (const cell of cells) {
      for (const system of rotated(able(cell), round)) {
        const sample = await measure(system, cell, Math.ceil(cell.requests * share));
        if (sample !== undefined) results.add(cell, system.name, sample);
      }
    }
  }
  return results;
}

/** One line a cell and system: medians, and of the ratios the smallest in brackets. */
export function rowsOf(systems: readonly System[], cells: readonly Cell[], results: Results) {
  return cells.flatMap((cell) =>
    systems.flatMap(({ name }) => {
      const own = results.samples(cell, name);
      if (own.length === 0) return [];
      return {
        cell: cell.name,
        system: name,
        'CPU µs': Math.round(median(own.map(({ cpuUs }) => cpuUs))),
        '× nginx': shown(results.ratios(cell, name, 'nginx')),
        '× dispatch': shown(results.ratios(cell, name, 'dispatch')),
        'per second': Math.round(median(own.map(({ perSecond }) => perSecond))),
        'p50 ms': median(own.map(({ p50Ms }) => p50Ms)).toFixed(2),
        'p99 ms': median(own.map(({ p99Ms }) => p99Ms)).toFixed(2),
        'first byte ms': median(own.map(({ firstByteMs }) => firstByteMs)).toFixed(2),
      };
    }),
  );
}

/** What it was measured on. */
export function machineLine(rounds: number, warm: number): string {
  const [cpu] = cpus();
  const load = loadavg()[0]?.toFixed(2);
  return `${cpu?.model}, ${cpus().length} cores, Node ${process.version}, load ${load}, ${rounds} rounds, ${warm} requests before`;
}

function shown(values: readonly number[]): string {
  return values.length === 0 ? '' : `${median(values).toFixed(2)} (${Math.min(...values).toFixed(2)})`;
}

function rotated<T>(items: readonly T[], by: number): readonly T[] {
  const at = by % items.length;
  return [...items.slice(at), ...items.slice(0, at)];
}
