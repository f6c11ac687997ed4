import { z } from 'zod';
import type { JsonValue } from '../core/json.ts';
import type { LfoConfig } from './config.ts';
import type { ConfigHandle } from './handle.ts';

/** Where the value of a setting comes from; what is first wins. */
export type SettingOrigin = 'environment' | 'override' | 'file' | 'default';

const share = z.number().min(0).max(1);
const usd = z.number().min(0);

/** What may be changed while LFO runs; `null` takes a goal away that the file sets. */
const overridable = {
  'routing.confidence_threshold': { schema: share, where: ['routing', 'confidenceThreshold'] },
  'routing.goal.cloud_share': { schema: share.nullable(), where: ['routing', 'goal', 'cloudShare'] },
  'routing.goal.spend_per_day': { schema: usd.nullable(), where: ['routing', 'goal', 'spendPerDay'] },
  'routing.goal.spend_hard_limit': { schema: usd.nullable(), where: ['routing', 'goal', 'spendHardLimit'] },
  'routing.goal.quality': { schema: share.nullable(), where: ['routing', 'goal', 'quality'] },
  'routing.goal.risk': { schema: share.nullable(), where: ['routing', 'goal', 'risk'] },
} as const;

export type OverridableSetting = keyof typeof overridable;

/** Settings that may be changed while LFO runs. */
export const overridableSettings: readonly OverridableSetting[] = [
  'routing.confidence_threshold',
  'routing.goal.cloud_share',
  'routing.goal.spend_per_day',
  'routing.goal.spend_hard_limit',
  'routing.goal.quality',
  'routing.goal.risk',
];

/** Whether a word names such a setting. */
export function isOverridable(setting: string): setting is OverridableSetting {
  return Object.hasOwn(overridable, setting);
}

/** Why a value does not fit a setting; undefined where it does. */
export function misfitOf(setting: OverridableSetting, value: JsonValue): string | undefined {
  return overridable[setting].schema.safeParse(value).error?.issues[0]?.message;
}

/** A configuration over which values out of the database are laid: environment, override, file, default. */
export class OverriddenConfig implements ConfigHandle {
  readonly #base: ConfigHandle;
  #values: ReadonlyMap<string, JsonValue> = new Map();
  #merged: { readonly from: LfoConfig; readonly config: LfoConfig } | undefined;

  constructor(base: ConfigHandle) {
    this.#base = base;
  }

  current(): LfoConfig {
    const from = this.#base.current();
    if (this.#merged?.from !== from) this.#merged = { from, config: this.#merge(from) };
    return this.#merged.config;
  }

  /** Lays these values over the configuration; unknown and unfit ones are left out. */
  lay(values: ReadonlyMap<string, JsonValue>): void {
    this.#values = values;
    this.#merged = undefined;
  }

  originOf(setting: OverridableSetting): SettingOrigin {
    if (this.fixedBy(setting) !== undefined) return 'environment';
    if (this.#fits(setting)) return 'override';
    return this.#base.current().origins[setting] === undefined ? 'default' : 'file';
  }

  /** The variable that fixes a setting, if one does. */
  fixedBy(setting: OverridableSetting): string | undefined {
    const origin = this.#base.current().origins[setting];
    // A place in the file has its line.
    return origin?.includes(':') === true ? undefined : origin;
  }

  valueOf(setting: OverridableSetting): JsonValue {
    let value: unknown = this.current();
    for (const key of overridable[setting].where)
      value = typeof value === 'object' && value !== null ? new Map(Object.entries(value)).get(key) : undefined;
    return typeof value === 'number' ? value : null;
  }

  #fits(setting: OverridableSetting): boolean {
    const value = this.#values.get(setting);
    return value !== undefined && misfitOf(setting, value) === undefined;
  }

  #merge(from: LfoConfig): LfoConfig {
    const goal = new Map<string, unknown>(Object.entries(from.routing.goal));
    const routing = new Map<string, unknown>(Object.entries(from.routing));
    let isChanged = false;
    for (const setting of overridableSettings) {
      const value = this.#values.get(setting);
      if (value === undefined || !this.#fits(setting) || this.fixedBy(setting) !== undefined) continue;
      const [, key, inner] = overridable[setting].where;
      const [group, name] = inner === undefined ? [routing, key] : [goal, inner];
      if (value === null) group.delete(name);
      else group.set(name, value);
      isChanged = true;
    }
    return isChanged
      ? { ...from, routing: { ...from.routing, ...Object.fromEntries(routing), goal: Object.fromEntries(goal) } }
      : from;
  }
}
