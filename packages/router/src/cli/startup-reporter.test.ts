import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { createColors } from 'picocolors';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { createLogger } from '../telemetry/log.ts';
import type { ReadyInfo } from '../app/running-app.ts';
import { banner, logReporter, terminalReporter } from './startup-reporter.ts';

const plain = createColors(false);
const info: ReadyInfo = {
  url: 'http://localhost:8080',
  dashboardUrl: 'http://localhost:8080/dashboard',
  local: { model: 'qwen2.5-coder-0.5b', engine: 'llama.cpp', decodeRate: 21.04 },
  cloud: [],
  needsKey: false,
  startupMs: 2345,
};

test('the banner shows address, dashboard, both tiers and a request to paste', () => {
  const text = banner(info, plain);
  assert.match(text, /ready after 2\.3 s/);
  assert.match(text, /address +http:\/\/localhost:8080\n/);
  assert.match(text, /dashboard +http:\/\/localhost:8080\/dashboard\n/);
  assert.match(text, /local +qwen2\.5-coder-0\.5b \(llama\.cpp\), 21\.0 tokens\/s in its last run\n/);
  assert.match(text, /cloud +off: set GEMINI_API_KEY\n/);
  assert.match(
    text,
    /^ {2}curl http:\/\/localhost:8080\/v1\/chat\/completions -H "content-type: application\/json" -d '\{.*\}'$/m,
  );
});

test('the banner names the cloud, the fault of the local tier and the need of a key', () => {
  const text = banner(
    {
      ...info,
      cloud: ['gemini'],
      needsKey: true,
      local: { model: 'm', engine: 'llama.cpp', problem: 'The file is truncated.' },
    },
    plain,
  );
  assert.match(text, /cloud +gemini\n/);
  assert.match(text, /local +m \(llama\.cpp\) The file is truncated\.\n/);
  assert.match(text, /Bearer \$LFO_AUTH_TOKEN/);
});

test('colours are only in what was asked to have colours', () => {
  const escape = String.fromCodePoint(27);
  assert.equal(banner(info, plain).includes(escape), false);
  assert.equal(banner(info, createColors(true)).includes(escape), true);
});

test('off a terminal each step is a JSON line, and a long step one a second', () => {
  const lines: string[] = [];
  const clock = new FakeClock();
  const logger = createLogger({ level: 'info', clock, destination: { write: (line) => lines.push(line) } });
  const reporter = logReporter(logger, clock);
  reporter.listening('http://localhost:1');
  for (let done = 0; done <= 100; done += 1) {
    reporter.progress({ phase: 'download', done, total: 100, what: 'm' });
    clock.advance(50);
  }
  reporter.progress({ phase: 'load', done: 0, total: 1, what: 'm' });
  reporter.ready(info);
  reporter.unable(info, { what: 'm.gguf is incomplete.', fix: 'Copy it again.' });
  reporter.ready(info);
  reporter.progress({ phase: 'load', done: 0, total: 1, what: 'm' });
  const records = lines.map((line) => JSON.parse(line));
  assert.deepEqual(
    records.map(({ phase, done, msg }) => (phase === undefined ? msg : `${phase} ${done}`)),
    [
      'LFO is listening.',
      'download 0',
      'download 20',
      'download 40',
      'download 60',
      'download 80',
      'download 100',
      'load 0',
      'LFO is ready.',
      'LFO runs, but cannot answer: m.gguf is incomplete. Fix: Copy it again.',
      'LFO can answer again.',
    ],
  );
});

test('on a terminal the bar gives way to the banner, which comes once', () => {
  const output = new PassThrough();
  const clock = new FakeClock();
  const reporter = terminalReporter(output, plain, clock);
  reporter.listening('http://localhost:1');
  reporter.progress({ phase: 'download', done: 10, total: 100, what: 'm' });
  clock.advance(2000);
  reporter.progress({ phase: 'download', done: 50, total: 100, what: 'm' });
  reporter.unable(info, { what: 'm.gguf is incomplete.', fix: 'Copy it again.' });
  reporter.ready(info);
  reporter.ready(info);
  const text = String(output.read());
  assert.match(text, /listens on http:\/\/localhost:1/);
  assert.match(text, /LFO runs, but cannot answer: m\.gguf is incomplete\. Fix: Copy it again\.\n/);
  assert.equal(text.split('LFO is ready').length, 2);
});
