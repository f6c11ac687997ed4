import type { RoutingPolicy } from '../../core/routing.ts';
import { resolveModel } from '../model-aliases.ts';

/** A real model id runs in its own tier; binds. */
export const pinnedModelPolicy: RoutingPolicy = {
  name: 'pinned-model',
  vote({ request }, fleet) {
    const target = resolveModel(request.model, fleet.backends);
    if (target?.model === undefined || target.mode === 'auto') return { type: 'pass' };
    return { type: 'require', tier: target.mode, reason: 'model_pinned' };
  },
};
