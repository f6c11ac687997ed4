import type { RoutingPolicy } from '../../core/routing.ts';
import { incapable, ofTier } from '../suitability.ts';

/** Content or tools that no local model takes bind; a JSON schema that none enforces only prefers the cloud. */
export const capabilityPolicy: RoutingPolicy = {
  name: 'capability',
  vote({ request }, fleet) {
    const local = ofTier(fleet, 'local');
    const lacks = local.map((backend) => incapable(backend, request));
    const [reason] = lacks;
    if (reason !== undefined && !lacks.includes(undefined)) return { type: 'forbid', tier: 'local', reason };
    const capable = local.filter((_, index) => lacks[index] === undefined);
    const wantsSchema = request.responseFormat?.type === 'json_schema';
    if (wantsSchema && capable.length > 0 && !capable.some((backend) => backend.capabilities.jsonSchema)) {
      return { type: 'prefer', tier: 'cloud', reason: 'json_schema_unsupported' };
    }
    return { type: 'pass' };
  },
};
