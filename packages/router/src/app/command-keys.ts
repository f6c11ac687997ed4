import type { LfoConfig } from '../config/config.ts';
import { type Clock, sleep } from '../core/clock.ts';
import { LfoError } from '../core/errors.ts';
import { type KeyStore, openKeyStore } from '../keys/key-store.ts';
import { StoreError } from '../records/store/store-error.ts';

/** How long a command waits for a database that another program has locked. */
const lockWaitMs = 10_000;
const pauseMs = 250;

/** As `openKeyStore`, for commands: a database that cannot be used is tried again for a while, then told in one sentence. */
export function openCommandKeys(config: LfoConfig, clock: Clock): KeyStore {
  const store = openKeyStore(config);
  return {
    create: (order) => withRetries(() => store.create(order), clock),
    list: () => withRetries(() => store.list(), clock),
    use: () => withRetries(() => store.use(), clock),
    change: (idOrName, change) => withRetries(() => store.change(idOrName, change), clock),
    revoke: (idOrName) => withRetries(() => store.revoke(idOrName), clock),
    forgetRevoked: () => withRetries(() => store.forgetRevoked(), clock),
    close: () => store.close(),
  };
}

/** Each of these is one transaction, which a failure undoes. */
async function withRetries<T>(run: () => Promise<T>, clock: Clock): Promise<T> {
  const never = new AbortController().signal;
  for (const untilMs = clock.nowMs() + lockWaitMs; ;) {
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof StoreError)) throw error;
      if (clock.nowMs() >= untilMs || !mayPass.has(error.code)) throw unusable(error);
      await sleep(clock, pauseMs, never);
    }
  }
}

/** A lock is given back, a server comes back. */
const mayPass: ReadonlySet<string> = new Set(['SQLITE_BUSY', 'STORE_UNREACHABLE', '53300', '57P03']);

function unusable(error: StoreError): LfoError {
  const why =
    error.code === 'SQLITE_BUSY'
      ? `The database was locked by another program for ${lockWaitMs / 1000} s: try again, or see lfo doctor.`
      : `The database cannot be used (${error.code}): ${error.message} See lfo doctor.`;
  return new LfoError(why, { code: 'database_unavailable', status: 503, cause: error });
}
