import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { LfoConfig } from '../config/config.ts';
import { createConfigHandle } from '../config/handle.ts';
import { loadConfig } from '../config/load.ts';
import { OverriddenConfig } from '../config/overridden.ts';
import type { RouterEventRow, Store } from '../records/tables.ts';
import { keepMarks } from './marks.ts';

function configOf(env: Record<string, string> = {}): LfoConfig {
  return loadConfig({ env: { HOME: '/h', ...env }, cwd: '/nonexistent' });
}

test('a mark says that the configuration was changed only where it was', (t) => {
  let env = {};
  const handle = createConfigHandle(configOf(), () => configOf(env));
  const config = new OverriddenConfig(handle);
  const clock = new FakeClock();
  const events: RouterEventRow['kind'][] = [];
  const store: Pick<Store, 'append'> = {
    append: async (_table, rows) => {
      for (const row of rows) if ('kind' in row) events.push(row.kind);
    },
  };
  t.after(keepMarks(store, config, clock, () => 'one'));
  const later = (): readonly string[] => {
    clock.advance(10_000);
    return events.splice(0);
  };
  assert.deepEqual(later(), ['start']);

  // What was changed in the dashboard is read again every minute.
  config.lay(new Map([['routing.confidence_threshold', 0.4]]));
  assert.deepEqual(later(), ['configuration']);
  for (let minute = 0; minute < 3; minute += 1) {
    config.lay(new Map([['routing.confidence_threshold', 0.4]]));
    assert.deepEqual(later(), []);
  }
  // A file that was saved as it was.
  handle.reload();
  assert.deepEqual(later(), []);
  env = { MAX_LOCAL_TOKENS: '7' };
  handle.reload();
  assert.deepEqual(later(), ['configuration']);
});
