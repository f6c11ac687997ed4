import type { RoutingPolicy } from '../../core/routing.ts';
import { isReady, ofTier, suitable } from '../suitability.ts';

/** A local tier that is absent binds; one that is down or still loading yields to the cloud. */
export const localAvailabilityPolicy: RoutingPolicy = {
  name: 'local-availability',
  vote(features, fleet) {
    if (ofTier(fleet, 'local').length === 0) return { type: 'forbid', tier: 'local', reason: 'local_unavailable' };
    const candidates = suitable(fleet, 'local', features);
    if (candidates.length === 0 || candidates.some(isReady)) return { type: 'pass' };
    const loading = candidates.some((backend) => backend.status.state === 'loading' && backend.breaker !== 'open');
    return { type: 'prefer', tier: 'cloud', reason: loading ? 'local_loading' : 'local_unavailable' };
  },
};
