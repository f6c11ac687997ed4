import type { ConfigHandle } from '../config/handle.ts';
import type { Clock } from '../core/clock.ts';
import { randomToken } from '../core/id.ts';
import type { RouterEventRow, Store } from '../records/tables.ts';

const lookMs = 5_000;

/** Notes the start of this router, and each change of its configuration, for charts to mark. Returns the way to stop. */
export function keepMarks(store: Store, config: ConfigHandle, clock: Clock, router: () => string): () => void {
  let seen = config.current();
  const note = (kind: RouterEventRow['kind'], detail: string): void => {
    const timeMs = Math.round(clock.wallMs());
    const row = { id: `${timeMs}-${randomToken(6)}`, time_ms: timeMs, router: router(), kind, detail };
    // Without a database there is no chart either.
    store.append('router_events', [row]).catch(() => undefined);
  };
  note('start', 'LFO started.');
  let cancel = clock.schedule(lookMs, look);
  return () => cancel();

  function look(): void {
    const now = config.current();
    if (now !== seen) note('configuration', 'The configuration was changed.');
    seen = now;
    cancel = clock.schedule(lookMs, look);
  }
}
