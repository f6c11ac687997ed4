import type { RoutingPolicy } from '../../core/routing.ts';

/** The request's own word on where it may run; binds. */
export const modePolicy: RoutingPolicy = {
  name: 'mode',
  vote({ mode }) {
    if (mode === 'auto') return { type: 'pass' };
    return { type: 'require', tier: mode, reason: mode === 'local' ? 'mode_local' : 'mode_cloud' };
  },
};
