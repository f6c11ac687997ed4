import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { ModelProgress } from './models/progress.ts';
import { progressLines } from './progress-display.ts';

function progress(done: number, phase: ModelProgress['phase'] = 'download'): ModelProgress {
  return { phase, done, total: 100, what: 'model' };
}

test('off a terminal: one line a second, one for each phase, and the last', () => {
  const clock = new FakeClock(5000);
  const lines: unknown[] = [];
  const display = progressLines((line) => lines.push(JSON.parse(line)), clock);
  for (let done = 0; done < 100; done += 5) {
    display.update(progress(done));
    clock.advance(100);
  }
  display.update(progress(100));
  display.update(progress(100));
  display.update(progress(10, 'verify'));
  assert.deepEqual(lines, [progress(0), progress(50), progress(100), progress(10, 'verify')]);
});
