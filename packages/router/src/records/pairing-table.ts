import * as z from 'zod';
import { type Pairing, type PairingRegistry, pairingStates } from '../core/devices.ts';
import type { Store } from './tables.ts';

const states = z.enum(pairingStates);
/** Whoever waits for a pairing asks for its end until then. */
const keptMs = 3_600_000;

/** How pairings stand, for the routers at which they were not begun; their secrets never leave the one at which they were. */
export class PairingTable implements PairingRegistry {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async save({ id, state, wrong, expiresMs, device, why }: Pairing): Promise<void> {
    const { db } = this.#store;
    const row = { id, state, wrong, expires_ms: Math.round(expiresMs), device: device ?? null, why: why ?? null };
    await this.#store.append('pairings', [row], 'replace');
    await db
      .deleteFrom('pairings')
      .where('expires_ms', '<', row.expires_ms - keptMs)
      .execute();
  }

  async find(id: string): Promise<Pairing | undefined> {
    const row = await this.#store.db.selectFrom('pairings').selectAll().where('id', '=', id).executeTakeFirst();
    const state = states.safeParse(row?.state).data;
    if (row === undefined || state === undefined) return undefined;
    return {
      id: row.id,
      state,
      wrong: row.wrong,
      expiresMs: row.expires_ms,
      ...(row.device === null ? {} : { device: row.device }),
      ...(row.why === null ? {} : { why: row.why }),
    };
  }
}
