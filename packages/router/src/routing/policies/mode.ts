import type { RoutingPolicy } from '../../core/routing.ts';

/** The request's own word on where it may run; binds. */
export const modePolicy: RoutingPolicy = {
  name: 'mode',
  vote({ mode }) {
    switch (mode) {
      case 'local':
        return { type: 'require', tier: 'local', reason: 'mode_local' };
      case 'cloud':
        return { type: 'require', tier: 'cloud', reason: 'mode_cloud' };
      case 'auto':
        return { type: 'pass' };
    }
  },
};
