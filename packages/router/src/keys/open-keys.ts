import { isLoopback } from '../config/addresses.ts';
import { ConfigError } from '../config/config-error.ts';
import type { LfoConfig } from '../config/config.ts';
import { keyCopyIn } from '../config/data-folder.ts';
import type { VerifyKey } from '../core/identity.ts';
import { isInForce, type KeyRing } from './managed-key.ts';
import type { Clock } from '../core/clock.ts';
import type { Logger } from '../core/logger.ts';
import { KeyRefs, managedKeys, ownerId } from './verify-key.ts';
import type { RouterPeers } from '../records/open-peers.ts';
import type { Store } from '../records/tables.ts';
import { type MostUsd, Quota } from './quota.ts';
import { KeyCopy } from './key-copy.ts';
import { KeyTable } from './key-table.ts';
import { KeyWatch } from './key-watch.ts';
import { StoredUsageLedger } from './usage-ledger.ts';
import { isNewStore, openStore } from '../records/store/open-store.ts';
import { openLimits } from './limits/open-limits.ts';

/** Who may come in and how much they may use. */
export interface Keys {
  readonly verifyKey: VerifyKey;
  readonly quota: Quota;
  readonly refs: KeyRefs;
  readonly ring: KeyRing;
  /** Calls back after each change of any key. */
  onChange(run: () => void): void;
  /** Whether the store that counts limits for several routers answers; undefined: this process counts. */
  limitsStore(): boolean | undefined;
  /** A last write. */
  close(): Promise<void>;
}

export interface KeyOptions {
  readonly clock: Clock;
  readonly logger: Logger;
  /** By which money is reserved. */
  readonly mostUsd: MostUsd;
  /** The routers on this database. */
  readonly peers: RouterPeers;
  /** Of the records, whose thread a file's one writer is; absent: opened and closed here. */
  readonly store?: Store | undefined;
}

/** Longest that serving waits for the database to say who may come in. */
const firstLookMs = 2_000;

/**
 * Opens the keys and waits shortly for them to be read. Where routers share a database they have connections of their
 * own, so that no long question of the dashboard keeps a revoked key alive; a file's longest question takes 100 ms.
 * @throws ConfigError where other machines can reach the address and there is no key at all
 */
export async function openKeys(config: LfoConfig, options: KeyOptions): Promise<Keys> {
  const { clock, logger: log, mostUsd, peers } = options;
  const isNew = isNewStore(config);
  const shared = peers.store ?? options.store;
  const store = shared ?? openStore(config);
  const listeners: (() => void)[] = [];
  const watch = new KeyWatch({
    table: new KeyTable(store),
    copy: new KeyCopy(keyCopyIn(config.dataDir)),
    clock,
    isNew,
    // Where peers tell of changes, looking is but a precaution.
    ...(peers.store !== undefined && { lookMs: 30_000 }),
    onChange: () => listeners.forEach((run) => run()),
    onUnreadable: (key) =>
      log.warn(
        { key },
        'A key in the database cannot be read: it opens nothing. Remove it with "lfo keys revoke --forget" and its id.',
      ),
    onHealth: (isReadable) =>
      isReadable
        ? log.info('The keys can be read from the database again.')
        : log.warn(
            'The keys cannot be read from the database: those known stay good for an hour. Where none was ever read, only LFO_AUTH_TOKEN lets anybody in until they can be.',
          ),
  });
  const ledger = new StoredUsageLedger(store, clock);
  peers.follow('keys', () => void watch.look());
  const started = Promise.all([watch.start(), ledger.start(), peers.start()]);
  const limits = openLimits(config, { clock, log, ledger, store, router: peers.id, routers: () => peers.mostOfLate });
  const close = async (): Promise<void> => {
    watch.stop();
    await limits.close();
    await ledger.close();
    if (shared === undefined) await store.close();
  };
  await new Promise<void>((resolve) => {
    const cancel = clock.schedule(firstLookMs, resolve);
    void started.finally(cancel).then(() => resolve());
  });
  if (!isLoopback(config.server.host) && config.server.authToken === undefined && !watch.isNeeded) {
    await close();
    throw new ConfigError([
      {
        where: 'HOST',
        message: `${config.server.host} can be reached from other machines: set LFO_AUTH_TOKEN to a long random key, run "lfo keys create", or use HOST=127.0.0.1`,
      },
    ]);
  }
  return {
    verifyKey: managedKeys(config.server.authToken, watch, clock),
    quota: new Quota(limits, ledger, mostUsd),
    refs: new KeyRefs(config.server.authToken, watch, clock),
    ring: watch,
    onChange: (run) => listeners.push(run),
    limitsStore: () => limits.isAnswering,
    close,
  };
}

/** Whether requests of this key may go on; the owner's always may, those of a key that was deleted may not. */
export function mayGoOn(ring: KeyRing, keyId: string | undefined, wallMs: number): boolean {
  if (keyId === undefined || keyId === ownerId) return true;
  const key = ring.find(keyId);
  return key !== undefined && isInForce(key, wallMs);
}
