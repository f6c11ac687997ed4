import type { Store } from './tables.ts';

/** Settings that were changed in the dashboard, by their path in `lfo.yaml`; values as JSON. */
export async function readOverrides({ db }: Store): Promise<ReadonlyMap<string, string>> {
  const rows = await db.selectFrom('overrides').select(['name', 'value']).execute();
  return new Map(rows.map(({ name, value }) => [name, value]));
}

/** Changes a setting for every router on this database, or takes the change back. */
export async function writeOverride(
  store: Store,
  name: string,
  value: number | undefined,
  by: { readonly clientKey: string; readonly timeMs: number },
): Promise<void> {
  if (value === undefined) {
    await store.db.deleteFrom('overrides').where('name', '=', name).execute();
    return;
  }
  const row = { name, value: JSON.stringify(value), time_ms: Math.round(by.timeMs), client_key: by.clientKey };
  await store.append('overrides', [row], 'replace');
}
