import type { DeviceRecord, DeviceRegistry, DeviceWake } from '../core/devices.ts';
import { isJsonObject, type JsonValue } from '../core/json.ts';
import type { DeviceRow, Store } from './tables.ts';

/** The paired devices in the database. */
export class DeviceTable implements DeviceRegistry {
  readonly #store: Store;

  constructor(store: Store) {
    this.#store = store;
  }

  async list(): Promise<readonly DeviceRecord[]> {
    const rows = await this.#store.db.selectFrom('devices').selectAll().orderBy('created_ms').orderBy('id').execute();
    return rows.map(recordOf);
  }

  async save(record: DeviceRecord): Promise<void> {
    await this.#store.append('devices', [rowOf(record)], 'replace');
  }

  async seen(record: Seen & Pick<DeviceRecord, 'id'>): Promise<void> {
    await this.#store.db.updateTable('devices').set(seenOf(record)).where('id', '=', record.id).execute();
  }
}

function rowOf(record: DeviceRecord): DeviceRow {
  const { id, publicKey, name, createdMs, dial, isDraining, wake } = record;
  return {
    id,
    public_key: publicKey ?? null,
    name,
    created_ms: Math.round(createdMs),
    ...seenOf(record),
    dial_host: dial?.host ?? null,
    dial_port: dial?.port ?? null,
    wake: wake === undefined ? null : JSON.stringify(wake),
    draining: isDraining === true ? 1 : 0,
  };
}

type Seen = Pick<DeviceRecord, 'lastSeenMs' | 'lastAddress'>;

function seenOf({ lastSeenMs, lastAddress }: Seen): Pick<DeviceRow, 'last_seen_ms' | 'last_address'> {
  return {
    last_seen_ms: lastSeenMs === undefined ? null : Math.round(lastSeenMs),
    last_address: lastAddress ?? null,
  };
}

function recordOf(row: DeviceRow): DeviceRecord {
  const { id, name, dial_host: host, dial_port: port } = row;
  const wake = row.wake === null ? undefined : wakeOf(JSON.parse(row.wake));
  return {
    id,
    name,
    createdMs: row.created_ms,
    ...(row.public_key === null ? {} : { publicKey: row.public_key }),
    ...(row.last_seen_ms === null ? {} : { lastSeenMs: row.last_seen_ms }),
    ...(row.last_address === null ? {} : { lastAddress: row.last_address }),
    ...(host === null || port === null ? {} : { dial: { host, port } }),
    ...(row.draining === 1 ? { isDraining: true } : {}),
    ...(wake === undefined ? {} : { wake }),
  };
}

function wakeOf(said: JsonValue): DeviceWake | undefined {
  if (!isJsonObject(said) || typeof said['mac'] !== 'string') return undefined;
  const { mac, broadcast, timeoutMs } = said;
  return {
    mac,
    ...(typeof broadcast === 'string' ? { broadcast } : {}),
    ...(typeof timeoutMs === 'number' ? { timeoutMs } : {}),
  };
}
