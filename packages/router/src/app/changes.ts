import type { ConfigHandle } from '../config/handle.ts';
import { OverridableConfig, thresholdPath } from '../config/overridable.ts';
import type { Clock } from '../core/clock.ts';
import { randomToken } from '../core/id.ts';
import { parseJson } from '../core/json.ts';
import { readOverrides, writeOverride } from '../records/overrides.ts';
import type { Store } from '../records/tables.ts';

/** What changes while LFO runs: overrides made in the dashboard, and the marks that charts show. */
export interface Changes {
  readonly config: OverridableConfig;
  /** Begins to look at the database; never waits. */
  start(store: Store): void;
  /** `undefined` takes the override back. Rejects while the database cannot be written. */
  overrideThreshold(value: number | undefined, clientKey: string): Promise<void>;
  stop(): void;
}

const lookMs = 10_000;

/** Overrides of the database over the configuration, seen by every router on it within ten seconds. */
export function watchChanges(base: ConfigHandle, clock: Clock, router: string): Changes {
  const config = new OverridableConfig(base);
  let store: Store | undefined;
  let cancel = (): void => {};
  let seen = base.current();
  let isStopped = false;

  const note = async (kind: 'start' | 'configuration', detail: string): Promise<void> => {
    const timeMs = Math.round(clock.wallMs());
    const row = { id: `${timeMs}-${randomToken(6)}`, time_ms: timeMs, router, kind, detail };
    await store?.append('router_events', [row]).catch(() => undefined);
  };
  const look = async (): Promise<void> => {
    if (store !== undefined) {
      const overrides = await readOverrides(store).catch(() => undefined);
      if (overrides !== undefined) config.overrideThreshold(thresholdOf(overrides.get(thresholdPath)));
    }
    if (base.current() !== seen) {
      seen = base.current();
      await note('configuration', 'The configuration was reloaded.');
    }
    if (!isStopped) cancel = clock.schedule(lookMs, () => void look());
  };

  return {
    config,
    start(opened) {
      store = opened;
      void note('start', 'LFO started.').then(look);
    },
    async overrideThreshold(value, clientKey) {
      if (store === undefined) return;
      await writeOverride(store, thresholdPath, value, { clientKey, timeMs: clock.wallMs() });
      config.overrideThreshold(value);
      const text = value === undefined ? 'The threshold is as configured again.' : `The threshold is ${value}.`;
      await note('configuration', text);
    },
    stop() {
      isStopped = true;
      cancel();
    },
  };
}

function thresholdOf(json: string | undefined): number | undefined {
  const value = json === undefined ? undefined : parseJson(json);
  return typeof value === 'number' && value >= 0 && value <= 1 ? value : undefined;
}
