import { isDeepStrictEqual } from 'node:util';

import { isJsonObject, type JsonObject } from '../core/json.ts';
import { camelCase } from './camel-keys.ts';
import type { LfoConfig } from './config.ts';
import { configJsonSchema } from './json-schema.ts';

/** The configuration in force; consumers ask for it when they need it instead of keeping a copy. */
export interface ConfigHandle {
  current(): LfoConfig;
}

/** What became of a reload; settings are named as in the file. */
export type ReloadResult =
  | { readonly type: 'unchanged' }
  /** `changed` are in force; `restart` have changed too and keep their old values until a restart. */
  | { readonly type: 'applied'; readonly changed: readonly string[]; readonly restart: readonly string[] }
  /** The old configuration stays; `error` says why. */
  | { readonly type: 'refused'; readonly error: unknown };

/** A handle that can take over a new configuration while requests run. */
export interface ReloadableConfig extends ConfigHandle {
  reload(): ReloadResult;
}

/** Starts with `initial`; `load` is asked again on every reload and may throw. */
export function createConfigHandle(initial: LfoConfig, load: () => LfoConfig): ReloadableConfig {
  let config = initial;
  return {
    current: () => config,
    reload() {
      let loaded: LfoConfig;
      try {
        loaded = load();
      } catch (error) {
        return { type: 'refused', error };
      }
      const changes: Changes = { changed: [], restart: [] };
      const taken = takeOver(config, loaded, configJsonSchema(), [], changes);
      config = { ...taken, origins: loaded.origins, references: loaded.references };
      const { changed, restart } = changes;
      return changed.length + restart.length === 0 ? { type: 'unchanged' } : { type: 'applied', changed, restart };
    },
  };
}

interface Changes {
  readonly changed: string[];
  readonly restart: string[];
}

/**
 * The settings of `before` with those of `after` in the place of all that may change while requests run; the schema says
 * which may not. What is no setting but follows from several stays with the settings it follows from.
 */
function takeOver<T extends object>(
  before: T,
  after: T,
  schema: JsonObject,
  path: readonly string[],
  changes: Changes,
): T;
function takeOver(
  before: object,
  after: object,
  schema: JsonObject,
  path: readonly string[],
  changes: Changes,
): object {
  const [old, next] = [new Map<string, unknown>(Object.entries(before)), new Map(Object.entries(after))];
  const taken = new Map(old);
  const settings = schema['properties'];
  for (const [key, node] of Object.entries(isJsonObject(settings) ? settings : {})) {
    if (!isJsonObject(node)) continue;
    const name = camelCase(key);
    const [was, is]: unknown[] = [old.get(name), next.get(name)];
    if (isDeepStrictEqual(was, is)) continue;
    const here = [...path, key];
    if (node['restart'] === true) changes.restart.push(here.join('.'));
    else if (isGroup(was) && isGroup(is) && isJsonObject(node['properties'])) {
      taken.set(name, takeOver(was, is, node, here, changes));
    } else {
      changes.changed.push(here.join('.'));
      taken.set(name, is);
    }
  }
  return Object.fromEntries(taken);
}

function isGroup(value: unknown): value is object {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
