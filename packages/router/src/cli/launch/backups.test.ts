import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { Backups } from './backups.ts';

test('a file that an agent has elsewhere by now is put back too', (t) => {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-backups-'));
  t.after(() => rmSync(folder, { recursive: true }));
  const [first, second] = [join(folder, 'first'), join(folder, 'second')];
  writeFileSync(first, 'as it was');
  const backups = new Backups(join(folder, 'data'));
  const edit = () => 'as LFO writes it';
  backups.write('agent', [{ path: first, edit }]);
  // Its own variable names another folder now.
  backups.write('agent', [{ path: second, edit }]);
  assert.deepEqual(
    backups.restore('agent').map(({ path, outcome }) => [path, outcome]),
    [
      [first, 'restored'],
      [second, 'removed'],
    ],
  );
  assert.deepEqual([readFileSync(first, 'utf8'), existsSync(second)], ['as it was', false]);
});
