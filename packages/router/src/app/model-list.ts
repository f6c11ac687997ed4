import type { Backend } from '../core/backend.ts';
import type { Clock } from '../core/clock.ts';
import type { ListedModel } from '../core/exchange.ts';
import { listModels, type ModelServer } from '../core/model-directory.ts';
import type { TierMember } from './local-tier.ts';

/** Longest time a model that a backend has just reported stays unknown. */
const relistMs = 500;

/**
 * Lists what clients may ask for: the aliases, then each model id once. Backends learn their models as they come up, not
 * from one request to the next.
 */
export function modelLister(
  members: () => readonly TierMember[],
  clock: Clock,
): { readonly list: () => readonly ListedModel[]; readonly changed: () => void } {
  let listed: readonly ListedModel[] = [];
  let untilMs = -Infinity;
  const list = (): readonly ListedModel[] => {
    if (clock.nowMs() >= untilMs) {
      listed = listModels(members().map(({ backend }) => serverOf(backend)));
      untilMs = clock.nowMs() + relistMs;
    }
    return listed;
  };
  return { list, changed: () => void (untilMs = -Infinity) };
}

function serverOf(backend: Backend): ModelServer {
  const device = backend.label?.();
  return {
    id: backend.id,
    tier: backend.tier,
    models: backend.models,
    capabilities: backend.capabilities,
    capabilitiesOf: (model) => backend.capabilitiesOf?.(model) ?? backend.capabilities,
    ...(device === undefined ? {} : { device }),
  };
}
