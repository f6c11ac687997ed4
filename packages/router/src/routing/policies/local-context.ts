import type { RoutingPolicy } from '../../core/routing.ts';
import { fits, incapable, ofTier } from '../suitability.ts';

/** A prompt beyond every capable local model's context never goes there: nothing is truncated silently. */
export const localContextPolicy: RoutingPolicy = {
  name: 'local-context',
  vote(features, fleet) {
    const capable = ofTier(fleet, 'local').filter((backend) => incapable(backend, features.request) === undefined);
    if (capable.length === 0 || capable.some((backend) => fits(backend, features))) return { type: 'pass' };
    return { type: 'forbid', tier: 'local', reason: 'context_too_small' };
  },
};
