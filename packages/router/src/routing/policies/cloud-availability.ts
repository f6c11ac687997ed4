import type { RoutingPolicy } from '../../core/routing.ts';
import { isReady, ofTier, suitable } from '../suitability.ts';

/** No cloud that takes the request: never there. A cloud that is out at the moment: local first. */
export const cloudAvailabilityPolicy: RoutingPolicy = {
  name: 'cloud-availability',
  vote(features, fleet) {
    if (ofTier(fleet, 'cloud').length === 0) {
      return { type: 'forbid', tier: 'cloud', reason: 'cloud_not_configured' };
    }
    const candidates = suitable(fleet, 'cloud', features);
    if (candidates.length === 0) return { type: 'forbid', tier: 'cloud', reason: 'cloud_unsuitable' };
    if (!candidates.some(isReady)) return { type: 'prefer', tier: 'local', reason: 'cloud_unavailable' };
    return { type: 'pass' };
  },
};
