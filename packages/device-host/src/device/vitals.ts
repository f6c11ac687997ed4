import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { MachineState, Vitals } from '@lfo/device-core';
import type { Clock } from '@lfo/protocol';
import * as z from 'zod';

const periodMs = 1_000;

/** What a machine says, and whether its owner wants it left alone. */
export interface Readings extends MachineState {
  readonly paused?: boolean;
}

/** As `state` has them; what does not fit is left out, so that one wrong field does not hide the others. */
const vitalsFile = z.object({
  battery: z
    .object({ pct: z.number().min(0).max(100), charging: z.boolean(), saver: z.boolean().exactOptional() })
    .optional()
    .catch(undefined),
  thermal: z
    .object({ status: z.int().min(0).max(6), headroom: z.number().exactOptional() })
    .optional()
    .catch(undefined),
  mem_free_mb: z.number().nonnegative().optional().catch(undefined),
  net: z.string().max(20).optional().catch(undefined),
  paused: z.boolean().optional().catch(undefined),
});

/** What Termux:API's `termux-battery-status` prints. */
const termuxBattery = z.object({
  percentage: z.number().min(0).max(100),
  plugged: z.string(),
  temperature: z.number().optional(),
});
/** Celsius of a phone's battery from which on it is light, moderate, severe and critical heat. */
const batteryHeat = [38, 40, 43, 46];

/** Reads what the machine says each second and tells of changes; its timers end with `stop`. */
export class PolledVitals implements Vitals {
  readonly #read: () => Readings | undefined;
  readonly #clock: Clock;
  readonly #onPaused: (isPaused: boolean) => void;
  #last: Readings;
  #lastText: string;
  #onChange: (() => void) | undefined;
  #cancel: () => void;

  /** `read` answers `undefined` where it cannot tell now: then what was said last stands. */
  constructor(read: () => Readings | undefined, clock: Clock, onPaused: (isPaused: boolean) => void = () => {}) {
    this.#read = read;
    this.#clock = clock;
    this.#onPaused = onPaused;
    this.#last = read() ?? {};
    this.#lastText = JSON.stringify(this.#last);
    onPaused(this.isPaused);
    this.#cancel = clock.schedule(periodMs, () => this.#look());
  }

  read(): MachineState {
    const { paused: _, ...machine } = this.#last;
    return machine;
  }

  /** By its owner. */
  get isPaused(): boolean {
    return this.#last.paused === true;
  }

  onChange(run: () => void): void {
    this.#onChange = run;
  }

  stop(): void {
    this.#cancel();
  }

  #look(): void {
    this.#cancel = this.#clock.schedule(periodMs, () => this.#look());
    const next = this.#read() ?? this.#last;
    const text = JSON.stringify(next);
    if (text === this.#lastText) return;
    this.#last = next;
    this.#lastText = text;
    this.#onPaused(this.isPaused);
    this.#onChange?.();
  }
}

/** What a file says, which something else writes, in our words or in Termux's. `undefined` while it is none. */
export function fileReadings(file: string): Readings | undefined {
  try {
    const told: unknown = JSON.parse(readFileSync(file, 'utf8'));
    const termux = termuxBattery.safeParse(told);
    return termux.success ? termuxReadings(termux.data) : defined(vitalsFile.safeParse(told).data ?? {});
  } catch {
    return undefined;
  }
}

function termuxReadings({ percentage, plugged, temperature }: z.infer<typeof termuxBattery>): Readings {
  return {
    battery: { pct: percentage, charging: plugged !== 'UNPLUGGED' },
    ...(temperature === undefined
      ? {}
      : { thermal: { status: batteryHeat.filter((celsius) => temperature >= celsius).length } }),
  };
}

/** What Linux says under `/sys` and `/proc`. */
export function linuxReadings(sys = '/sys', proc = '/proc'): Readings {
  return defined({ ...memoryOf(proc), battery: batteryOf(sys), thermal: heatOf(sys) });
}

function batteryOf(sys: string): Readings['battery'] {
  const folder = join(sys, 'class/power_supply');
  const supplies = namesIn(folder).map((name) => join(folder, name));
  // A mouse has a battery too.
  const own = supplies.filter((path) => textIn(path, 'type') === 'Battery' && textIn(path, 'scope') !== 'Device');
  const levels = own.flatMap((path) => numberIn(path, 'capacity') ?? []);
  if (levels.length === 0) return undefined;
  const isOnMains = supplies.some((path) => numberIn(path, 'online') === 1);
  const isDischarging = own.some((path) => textIn(path, 'status') === 'Discharging');
  const pct = levels.reduce((sum, level) => sum + level, 0) / levels.length;
  return { pct: Math.min(100, Math.max(0, Math.round(pct))), charging: isOnMains || !isDischarging };
}

/** Sensors of the processor; the trip points of others mean other things. */
const processor = /cpu|pkg|soc|core|acpitz|gpu|tdie|package/i;
/** Trip points outside are a firmware's fillers. */
const trip = { least: 60, most: 125 };
const unknownLimit = 95;

/**
 * The hottest sensor on Android's scale of 0 to 6: at the point where the kernel throttles it is SEVERE (3), at the one
 * where it switches off CRITICAL (4). `headroom` is the share of the limit that is reached, 1 at SEVERE.
 */
function heatOf(sys: string): Readings['thermal'] {
  const folder = join(sys, 'class/thermal');
  let worst: NonNullable<Readings['thermal']> | undefined;
  for (const name of namesIn(folder)) {
    const zone = join(folder, name);
    const milli = numberIn(zone, 'temp');
    if (!name.startsWith('thermal_zone') || milli === undefined || !processor.test(textIn(zone, 'type'))) continue;
    const heat = heatAt(milli / 1000, tripsOf(zone));
    if (worst === undefined || heat.headroom > (worst.headroom ?? 0)) worst = heat;
  }
  return worst;
}

function heatAt(
  temperature: number,
  { limit = unknownLimit, end = limit + 10 }: { readonly limit?: number; readonly end?: number },
): { readonly status: number; readonly headroom: number } {
  const steps = [limit - 12, limit - 6, limit, Math.max(limit + 1, end - 3)];
  const status = steps.findLastIndex((step) => temperature >= step);
  const shown = [1, 2, 3, 4][status] ?? 0;
  return { status: shown, headroom: Math.round((temperature / limit) * 20) / 20 };
}

function tripsOf(zone: string): { readonly limit?: number; readonly end?: number } {
  const points = namesIn(zone).flatMap((name) => {
    const [, at] = /^trip_point_(\d+)_temp$/.exec(name) ?? [];
    const celsius = (numberIn(zone, name) ?? 0) / 1000;
    if (at === undefined || celsius < trip.least || celsius > trip.most) return [];
    return [{ kind: textIn(zone, `trip_point_${at}_type`), celsius }];
  });
  const lowest = (...kinds: readonly string[]): number | undefined => {
    const found = points.filter(({ kind }) => kinds.includes(kind)).map(({ celsius }) => celsius);
    return found.length === 0 ? undefined : Math.min(...found);
  };
  const end = lowest('critical');
  const limit = lowest('passive', 'hot') ?? (end === undefined ? undefined : end - 10);
  return { ...(limit === undefined ? {} : { limit }), ...(end === undefined ? {} : { end }) };
}

function memoryOf(proc: string): Pick<Readings, 'mem_free_mb' | 'memTotalMb'> {
  const text = textIn(proc, 'meminfo');
  const megabytes = (name: string): number | undefined => {
    const [, kilobytes] = new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(text) ?? [];
    return kilobytes === undefined ? undefined : Math.round(Number(kilobytes) / 1024);
  };
  // In steps: each megabyte would be a change that is told.
  const free = megabytes('MemAvailable');
  return defined({
    mem_free_mb: free === undefined ? undefined : free - (free % 64),
    memTotalMb: megabytes('MemTotal'),
  });
}

function namesIn(folder: string): readonly string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function textIn(folder: string, name: string): string {
  try {
    return readFileSync(join(folder, name), 'utf8').trim();
  } catch {
    // Some sensors answer with an error while they sleep.
    return '';
  }
}

function numberIn(folder: string, name: string): number | undefined {
  const text = textIn(folder, name);
  return /^-?\d+$/.test(text) ? Number(text) : undefined;
}

/** Without fields that are undefined. */
function defined<T extends object>(value: T): { [K in keyof T]?: Exclude<T[K], undefined> } {
  const kept: { [K in keyof T]?: Exclude<T[K], undefined> } = {};
  Object.assign(kept, Object.fromEntries(Object.entries(value).filter(([, each]) => each !== undefined)));
  return kept;
}
