import { isDeepStrictEqual } from 'node:util';
import type { LfoConfig } from '../config/config.ts';
import type { ConfigHandle } from '../config/handle.ts';
import type { Clock } from '../core/clock.ts';
import { randomToken } from '../core/id.ts';
import type { RouterEventRow, Store } from '../records/tables.ts';

const lookMs = 5_000;

/** Notes the start of this router, and each change of its configuration, for charts to mark. Returns the way to stop. */
export function keepMarks(
  store: Pick<Store, 'append'>,
  config: ConfigHandle,
  clock: Clock,
  router: () => string,
): () => void {
  /** Of the first look on: what was changed in the dashboard before the start is read a moment after it. */
  let seen: LfoConfig | undefined;
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
    if (seen !== undefined && !isSame(now, seen)) note('configuration', 'The configuration was changed.');
    seen = now;
    cancel = clock.schedule(lookMs, look);
  }
}

/** Whether two say the same, wherever each of them says it: one that was read again is another object. */
function isSame(now: LfoConfig, seen: LfoConfig): boolean {
  return now === seen || isDeepStrictEqual(settingsOf(now), settingsOf(seen));
}

function settingsOf({
  origins: _origins,
  references: _references,
  warnings: _warnings,
  ...settings
}: LfoConfig): object {
  return settings;
}
