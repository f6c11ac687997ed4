import { join } from 'node:path';
import type { LfoConfig } from '../config/config.ts';
import { createDataFolder } from '../config/data-folder.ts';
import { recordedDays, type SampleLocal } from '../records/sample-days.ts';
import { SqliteStore } from '../records/store/sqlite-store.ts';

const dayMs = 86_400_000;
const rowsOfTwoDays = 3_000;

/** Writes two made-up days of requests into a database that nobody has opened yet, so that a demonstration has a past. */
export async function writeDemoDays(
  { dataDir }: Pick<LfoConfig, 'dataDir'>,
  nowMs: number,
  locals: readonly SampleLocal[],
): Promise<void> {
  createDataFolder(dataDir);
  const store = new SqliteStore(join(dataDir, 'lfo.db'));
  const keys = ['editor', 'agent', 'night-build'];
  await store.append('requests', recordedDays(nowMs - 5_000, rowsOfTwoDays, 2 * dayMs, { locals, keys }));
  const mark = (hoursAgo: number, kind: 'start' | 'configuration', detail: string) => {
    const timeMs = Math.round(nowMs - hoursAgo * 3_600_000);
    return { id: `${timeMs}-demo`, time_ms: timeMs, router: 'demo', kind, detail };
  };
  await store.append('router_events', [
    mark(19.2, 'start', 'LFO started.'),
    mark(6.4, 'configuration', 'The configuration was changed.'),
  ]);
  await store.close();
}
