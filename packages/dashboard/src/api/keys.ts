import { signal } from '@preact/signals';
import type { KeysBody } from '@lfo/router/src/admin/wire.ts';
import { ask } from './client.ts';

/** Names of the keys that were given out, by id. */
export const keyNames = signal<ReadonlyMap<string, string>>(new Map());

/** Learns them; without an answer ids are shown. */
export async function loadKeyNames(): Promise<void> {
  try {
    const { keys } = await ask<KeysBody>('/dashboard/api/keys');
    keyNames.value = new Map(keys.map(({ id, name }) => [id, name]));
  } catch {
    // The database is away; what is shown stays.
  }
}
