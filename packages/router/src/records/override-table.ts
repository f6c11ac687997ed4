import type { Clock } from '../core/clock.ts';
import { type JsonValue, parseJson } from '../core/json.ts';
import type { Store } from './tables.ts';

/** Settings that were changed while LFO runs, in the database: each router reads them. */
export class OverrideTable {
  readonly #store: Store;
  readonly #clock: Clock;

  constructor(store: Store, clock: Clock) {
    this.#store = store;
    this.#clock = clock;
  }

  /** By setting, as the file spells it; what cannot be read is left out. */
  async list(): Promise<ReadonlyMap<string, JsonValue>> {
    const rows = await this.#store.db.selectFrom('overrides').select(['name', 'value']).execute();
    return new Map(
      rows.flatMap(({ name, value }): [string, JsonValue][] => {
        const read = parseJson(value);
        return read === undefined ? [] : [[name, read]];
      }),
    );
  }

  async set(setting: string, value: JsonValue, clientKey: string): Promise<void> {
    const time_ms = Math.round(this.#clock.wallMs());
    const row = { name: setting, value: JSON.stringify(value), time_ms, client_key: clientKey };
    await this.#store.append('overrides', [row], 'replace');
  }

  async delete(setting: string): Promise<void> {
    await this.#store.db.deleteFrom('overrides').where('name', '=', setting).execute();
  }
}
