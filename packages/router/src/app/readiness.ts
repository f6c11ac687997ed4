import type { FleetView } from '../core/backend.ts';
import type { Readiness } from '../core/exchange.ts';

/** Whether anything can answer, and what keeps those that cannot. */
export function readinessOf({ backends }: FleetView): Readiness {
  if (backends.length === 0) return { ready: false, reasons: ['No backend is configured.'] };
  const reasons = backends.flatMap(({ id, status, isDraining }) => {
    if (status.state !== 'ready') return `${id}: ${status.detail ?? status.state}`;
    return isDraining === true ? `${id}: draining` : [];
  });
  return { ready: reasons.length < backends.length, reasons };
}
