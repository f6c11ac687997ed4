import type { Clock } from '../core/clock.ts';
import type { ListedModel } from '../core/exchange.ts';
import { listModels } from '../core/model-directory.ts';
import type { TierMember } from './local-tier.ts';

/** Longest time a model that a backend has just reported stays unknown. */
const relistMs = 500;

/**
 * Lists what clients may ask for: the aliases, then each model id once. Backends learn their models as they come up, not
 * from one request to the next.
 */
export function modelLister(members: readonly TierMember[], clock: Clock): () => readonly ListedModel[] {
  let listed: readonly ListedModel[] = [];
  let untilMs = -Infinity;
  return () => {
    if (clock.nowMs() >= untilMs) {
      listed = listModels(members.map(({ backend }) => backend));
      untilMs = clock.nowMs() + relistMs;
    }
    return listed;
  };
}
