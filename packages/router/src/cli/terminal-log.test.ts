import assert from 'node:assert/strict';
import { PassThrough } from 'node:stream';
import { test } from 'node:test';
import { createColors } from 'picocolors';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { createLogger, Secrets } from '../telemetry/log.ts';
import { terminalLog } from './terminal-log.ts';

test('on a terminal a request is one line that a person reads, and so is everything else', () => {
  const output = new PassThrough().setEncoding('utf8');
  const destination = terminalLog(output, createColors(false));
  const logger = createLogger({
    level: 'info',
    clock: new FakeClock(),
    destination,
    secrets: new Secrets(['a-secret-key']),
  });
  const requestId = '01a209cd-b4e9-75f6-bf78-ba07db0230a2';
  logger.info(
    { requestId, status: 200, route: 'local', reason: 'local_first', backend: 'embedded', ms: 812 },
    'request answered',
  );
  logger.info(
    { requestId, status: 502, code: 'upstream_error', reason: 'local_failed', ms: 2_345 },
    'request answered',
  );
  logger.warn({ settings: ['server.port'], key: 'a-secret-key' }, 'These settings have changed and need a restart.');
  const lines = String(output.read()).trimEnd().split('\n');
  assert.match(lines[0] ?? '', /^\d\d:\d\d:\d\d {2}200 {2}local {2}embedded +812 ms {2}local_first +db0230a2$/);
  assert.match(lines[1] ?? '', /^\d\d:\d\d:\d\d {2}502 {2}– +– +2\.3 s {2}local_failed, upstream_error {2}db0230a2$/);
  assert.match(
    lines[2] ?? '',
    /^\d\d:\d\d:\d\d {2}warning {2}These settings .* restart\. {2}settings=\["server\.port"\] key=\[redacted\]$/,
  );
  assert.ok(lines.every((line) => line.length <= 110));
});
