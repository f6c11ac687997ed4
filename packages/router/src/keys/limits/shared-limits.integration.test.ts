import type { TestContext } from 'node:test';
import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { redisOfFile, withoutRedis } from '@lfo/testing/redis.ts';
import { systemClock } from '../../core/clock.ts';
import { PostgresStore } from '../../records/store/postgres-store.ts';
import { nothing } from './limit-store.ts';
import { describeLimits } from './limits-contract.ts';
import { PostgresLimits } from './postgres-limits.ts';
import { RedisLimits } from './redis-limits.ts';
import type { SharedLimitStore } from './shared-limit-store.ts';
import { SharedLimits } from './shared-limits.ts';

const postgres = postgresOfFile();
const redis = redisOfFile();

function counting(t: TestContext, store: SharedLimitStore): SharedLimits {
  const limits = new SharedLimits({
    store,
    clock: systemClock,
    ledger: { unwritten: () => nothing },
    routers: () => 1,
    // Busy machines take their time; what happens then is another file's.
    waitMs: () => 5_000,
    onOutage: () => 'deny',
  });
  t.after(() => limits.close());
  return limits;
}

describeLimits(
  'three routers on PostgreSQL',
  async (t, routers) => {
    const url = await postgres().database();
    return Promise.all(
      Array.from({ length: routers }, async (_each, index) => {
        const store = new PostgresStore(url, { connections: 2 });
        await store.query('select 1', []);
        const limits = counting(t, new PostgresLimits(store, `r${index}`));
        t.after(() => store.close());
        return limits;
      }),
    );
  },
  3,
  { skip: withoutPostgres },
);

describeLimits(
  'three routers on Redis',
  async (t, routers) => {
    await redis().empty();
    return Array.from({ length: routers }, (_each, index) =>
      counting(t, new RedisLimits({ url: redis().url, router: `r${index}`, today: async () => nothing })),
    );
  },
  3,
  { skip: withoutRedis },
);
