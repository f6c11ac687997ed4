import type { LfoConfig } from '../../config/config.ts';
import type { Clock } from '../../core/clock.ts';
import type { Logger } from '../../core/logger.ts';
import { PostgresStore } from '../../records/store/postgres-store.ts';
import type { Store } from '../../records/tables.ts';
import type { StoredUsageLedger } from '../usage-ledger.ts';
import type { LimitStore } from './limit-store.ts';
import { MemoryLimits } from './memory-limits.ts';
import { PostgresLimits } from './postgres-limits.ts';
import { RedisLimits } from './redis-limits.ts';
import type { SharedLimitStore } from './shared-limit-store.ts';
import { SharedLimits } from './shared-limits.ts';

export interface LimitOptions {
  readonly clock: Clock;
  readonly log: Logger;
  readonly ledger: StoredUsageLedger;
  /** That of the keys. */
  readonly store: Store;
  /** No other living router is named so. */
  readonly router: string;
  readonly routers: () => number | undefined;
}

/** Who counts: Redis where it is configured, else PostgreSQL where it is, else this process. */
export function openLimits(config: Pick<LfoConfig, 'limits' | 'limitsUrl'>, options: LimitOptions): LimitStore {
  const { clock, log, ledger, routers } = options;
  const store = sharedStore(config.limitsUrl, options);
  if (store === undefined) return new MemoryLimits(clock, ledger);
  return new SharedLimits({
    store,
    clock,
    ledger,
    routers,
    waitMs: () => config.limits.storeWaitMs,
    onOutage: () => config.limits.onOutage,
    onHealth: (isAnswering) =>
      isAnswering
        ? log.info('The store of limits answers again.')
        : log.warn(`The store of limits does not answer; limited keys get what limits.on_outage says.`),
  });
}

function sharedStore(url: string | undefined, { store, router, ledger }: LimitOptions): SharedLimitStore | undefined {
  if (url !== undefined) {
    const today = async (keyId: string) => {
      await ledger.refresh().catch(() => undefined);
      return ledger.today(keyId);
    };
    return new RedisLimits({ url, router, today });
  }
  return store instanceof PostgresStore ? new PostgresLimits(store, router) : undefined;
}
