import { isDeepStrictEqual } from 'node:util';
import type { LfoConfig } from './config.ts';

/** The configuration in force; consumers ask for it when they need it instead of keeping a copy. */
export interface ConfigHandle {
  current(): LfoConfig;
  /** Called after each change that took effect; the returned function unsubscribes. */
  onChange(listener: (config: LfoConfig) => void): () => void;
}

/** What became of a reload. */
export type ReloadResult =
  | { readonly type: 'unchanged' }
  /** `restart` names the sections that changed and keep their old values until a restart. */
  | { readonly type: 'applied'; readonly sections: readonly string[]; readonly restart: readonly string[] }
  /** The old configuration stays; `error` says why. */
  | { readonly type: 'refused'; readonly error: unknown };

/** A handle that can take over a new configuration while requests run. */
export interface ReloadableConfig extends ConfigHandle {
  reload(): ReloadResult;
}

/** Sections whose consumers ask the handle for each request. */
const reloadable = ['routing', 'gate', 'budgets', 'limits', 'retry', 'breaker', 'records', 'logLevel'] as const;

/** Starts with `initial`; `load` is asked again on every reload and may throw. */
export function createConfigHandle(initial: LfoConfig, load: () => LfoConfig): ReloadableConfig {
  let config = initial;
  const listeners = new Set<(config: LfoConfig) => void>();
  return {
    current: () => config,
    onChange(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    reload() {
      let loaded: LfoConfig;
      try {
        loaded = load();
      } catch (error) {
        return { type: 'refused', error };
      }
      const previous = config;
      const sections = reloadable.filter((section) => !isDeepStrictEqual(loaded[section], previous[section]));
      const restart = changedFixedSections(previous, loaded);
      if (sections.length === 0 && restart.length === 0) return { type: 'unchanged' };
      const { routing, gate, budgets, limits, retry, breaker, records, logLevel } = loaded;
      config = { ...previous, routing, gate, budgets, limits, retry, breaker, records, logLevel };
      if (sections.length > 0) for (const listener of listeners) listener(config);
      return { type: 'applied', sections, restart };
    },
  };
}

function changedFixedSections(before: LfoConfig, after: LfoConfig): string[] {
  const taken: ReadonlySet<string> = new Set<string>([...reloadable, 'warnings', 'file']);
  const left = new Map(Object.entries(before));
  const right = new Map(Object.entries(after));
  return [...new Set([...left.keys(), ...right.keys()])].filter(
    (section) => !taken.has(section) && !isDeepStrictEqual(left.get(section), right.get(section)),
  );
}
