import type { RoutingPolicy } from '../../core/routing.ts';
import { isReady, predictedFirstTokenMs, suitable } from '../suitability.ts';

/** Locality is a matter of time too: a prompt that no local model reads within the budget goes to the cloud first. */
export const firstTokenTimePolicy: RoutingPolicy = {
  name: 'first-token-time',
  vote(features, fleet) {
    const waits = suitable(fleet, 'local', features)
      .filter(isReady)
      .map((backend) => predictedFirstTokenMs(backend, features) ?? 0);
    if (waits.length === 0 || Math.min(...waits) <= features.limits.firstTokenBudgetMs) return { type: 'pass' };
    return { type: 'prefer', tier: 'cloud', reason: 'first_token_too_late' };
  },
};
