import assert from 'node:assert/strict';
import { mkdtempSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { systemClock } from '../core/clock.ts';
import { watchFile } from './watch.ts';

test('a file replaced by an editor is noticed, its neighbours are not', { timeout: 10_000 }, async (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-watch-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const file = join(folder, 'lfo.yaml');
  writeFileSync(file, 'a');
  let calls = 0;
  const changed = Promise.withResolvers<void>();
  const keepAlive = setInterval(() => {}, 1000);
  const stop = watchFile(file, systemClock, () => {
    calls += 1;
    changed.resolve();
  });
  writeFileSync(join(folder, 'other'), 'x');
  writeFileSync(join(folder, 'new'), 'b');
  renameSync(join(folder, 'new'), file);
  await changed.promise;
  clearInterval(keepAlive);
  stop();
  assert.equal(calls, 1);
});

test('a folder that is not there is nothing to watch', () => {
  watchFile('/nonexistent/lfo.yaml', systemClock, () => assert.fail('called'))();
});
