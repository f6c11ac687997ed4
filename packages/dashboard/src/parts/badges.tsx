import type { RequestView } from '@lfo/router/src/records/request-view.ts';
import { hasFailed, hasStoodIn, isEscalated } from '../phases.ts';

/** Where a request went, in a word and a colour. */
export function RouteBadge({ request }: { request: RequestView }) {
  const [tone, text] = routeOf(request);
  return <span class={`badge ${tone}`}>{text}</span>;
}

/** The same for one tier. */
export function TierBadge({ tier }: { tier: 'local' | 'cloud' }) {
  return <span class={`badge ${tier}`}>{tier}</span>;
}

/** Tone and word of a request's route. */
function routeOf(request: RequestView): readonly [tone: string, text: string] {
  if (request.isTurnedAway && (request.status ?? 500) < 500) return ['muted', 'refused'];
  if (hasFailed(request)) return ['failed', 'failed'];
  if (request.state === 'done' && request.status === 499) return ['muted', 'client left'];
  if (request.route === null) return ['muted', request.state === 'done' ? 'no route' : 'routing'];
  if (isEscalated(request)) return ['cloud', hasStoodIn(request) ? 'failed over' : 'escalated'];
  if (request.degraded) return ['warn', 'degraded'];
  return [request.route, request.route];
}
