import assert from 'node:assert/strict';
import { globSync, readFileSync } from 'node:fs';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

import type { Figure } from '../figure.ts';
import { faultTable } from './fault-table.ts';
import { faultRows } from './rows.ts';

const root = fileURLToPath(new URL('../../../', import.meta.url));

const took = (value: number): Figure => ({ what: 'end', value, unit: 'ms', bound: 1_000, is: 'most' });

test('cases of several subjects are told together, and the worst is not hidden', () => {
  const table = faultTable([
    { title: 'fault 4: gemini: given up [1 s]', result: 'pass', figures: [took(300), took(700)] },
    { title: 'fault 4: openai-compatible, local: given up [1 s]', result: 'fail', figures: [took(500)] },
    { title: 'fault 5: late [1 s]', result: 'pass', figures: [took(1_001)] },
    { title: 'fault 43: does not spin [50 %]', result: { skip: 'needs proc(5)' }, figures: [] },
    { title: 'some other test', result: 'pass', figures: [] },
  ]);
  assert.match(
    table,
    /\| 4 \| accepts, never replies \| given up \(gemini; openai-compatible, local\) \| 1 s \| end: 700 of 1000 ms \| pass, \*\*fail\*\* \|/,
  );
  assert.match(table, /\| late \| 1 s \| end: 1001 of 1000 ms \| pass, \*\*over\*\* \|/);
  assert.match(table, /\| 43 \|.*\| skip: needs proc\(5\) \|/);
  assert.match(table, /\| 1 \|.*no test ran/);
  assert.doesNotMatch(table, /some other/);
});

test('a row whose tests are elsewhere says where, and they are there', () => {
  const table = faultTable([]);
  for (const { row, fault, elsewhere } of faultRows) {
    if (elsewhere === undefined) continue;
    assert.ok(table.includes(`| ${row} | ${fault} | | | | elsewhere: ${elsewhere} |`));
    const places = Array.from(elsewhere.matchAll(/`([^`]+)`/g), ([, place = '']) => place);
    assert.ok(places.length > 0);
    for (const place of places) assert.ok(globSync(`${root}${place}`).length > 0, place);
  }
});

test('docs/reliability.md has every row, and each passed or was skipped for a reason', () => {
  const page = readFileSync(new URL('../../../docs/reliability.md', import.meta.url), 'utf8').replaceAll(/ +/g, ' ');
  for (const { row, fault } of faultRows) assert.ok(page.includes(`| ${row} | ${fault} |`), `row ${row}`);
  assert.doesNotMatch(page, /no test ran|\*\*(fail|over)\*\*/);
});
