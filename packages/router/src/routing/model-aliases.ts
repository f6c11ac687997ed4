import type { Mode, Tier } from '../core/request.ts';

/** What a `model` field asks for: where it may run and, for a real model id, what runs it. */
export interface ModelTarget {
  readonly mode: Mode;
  /** Only this backend; absent where several serve the model. */
  readonly backend?: string;
  /** Only this model; absent for the aliases. */
  readonly model?: string;
}

/** Who serves what: configured backends or a `FleetView`'s. */
export interface ModelServer {
  readonly id: string;
  readonly tier: Tier;
  readonly models: readonly string[];
}

/**
 * Resolves a model as asked: an alias, a backend's own model id, or `backend/model`. Undefined: nobody serves it (404).
 * An id served in both tiers pins the model and leaves the tier open; one served by several backends of a tier leaves
 * the choice among them to the pool.
 */
export function resolveModel(asked: string, servers: readonly ModelServer[]): ModelTarget | undefined {
  if (asked === 'lfo-auto') return { mode: 'auto' };
  if (asked === 'lfo-local') return { mode: 'local' };
  if (asked === 'lfo-cloud') return { mode: 'cloud' };
  const serving = servers.filter((server) => server.models.includes(asked));
  const [only, second] = serving;
  if (only === undefined) return resolveQualified(asked, servers);
  if (second === undefined) return { mode: only.tier, backend: only.id, model: asked };
  const mode = serving.every((server) => server.tier === only.tier) ? only.tier : 'auto';
  return { mode, model: asked };
}

function resolveQualified(asked: string, servers: readonly ModelServer[]): ModelTarget | undefined {
  for (const server of servers) {
    if (!asked.startsWith(`${server.id}/`)) continue;
    const model = asked.slice(server.id.length + 1);
    if (server.models.includes(model)) return { mode: server.tier, backend: server.id, model };
  }
  return undefined;
}

/** Strictest wins; undefined where the two leave no tier at all. */
export function intersectModes(one: Mode, other: Mode): Mode | undefined {
  if (one === 'auto') return other;
  if (other === 'auto' || one === other) return one;
  return undefined;
}
