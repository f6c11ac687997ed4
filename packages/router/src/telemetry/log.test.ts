import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { BackendError } from '../core/errors.ts';
import type { Logger } from '../core/logger.ts';
import { createLogger, Secrets } from './log.ts';

function capture(secrets: readonly string[] = []): { logger: Logger; lines: string[] } {
  const lines: string[] = [];
  const logger = createLogger({
    level: 'info',
    secrets: new Secrets(secrets),
    clock: new FakeClock(0, 0),
    destination: { write: (line) => lines.push(line) },
  });
  return { logger, lines };
}

test('a record is one JSON line with its level and time', () => {
  const { logger, lines } = capture();
  logger.info({ route: 'local', name: 'a\r\nb' }, 'Request done.');
  logger.debug('not at this level');
  assert.deepEqual(
    lines.map((line) => JSON.parse(line)),
    [{ level: 'info', time: '1970-01-01T00:00:00.000Z', route: 'local', name: 'a\r\nb', msg: 'Request done.' }],
  );
  assert.equal(lines[0]?.indexOf('\n'), lines[0]?.length === undefined ? -1 : lines[0].length - 1);
});

test('fields named like secrets are redacted wherever they sit', () => {
  const { logger, lines } = capture();
  logger.info({ authorization: 'c-1', headers: { 'x-api-key': 'c-2' }, config: { server: { authToken: 'c-3' } } }, 'x');
  assert.doesNotMatch(lines.join(''), /c-\d/);
});

test('a planted secret appears in no encoding', () => {
  const secret = 'sk-canary/+"äß&7';
  const { logger, lines } = capture([secret]);
  const bytes = Buffer.from(secret);
  const forms = [
    secret,
    encodeURIComponent(secret),
    bytes.toString('base64'),
    bytes.toString('base64url'),
    bytes.toString('hex'),
  ];
  logger.info({ forms, nested: { text: `Bearer ${secret}!` } }, `said ${secret}`);
  const line = lines.join('');
  for (const form of forms) assert.equal(line.includes(form.replace(/=+$/, '')), false, form);
  assert.doesNotMatch(line, /canary/);
  assert.equal(JSON.parse(line).nested.text, 'Bearer [redacted]!');
});

test('our own errors keep their message, foreign ones only class, code and place', () => {
  const { logger, lines } = capture();
  const foreign = Object.assign(new SyntaxError('Unexpected token "my prompt"'), { code: 'EBAD' });
  const error = new BackendError('The backend refused.', { fault: 'connect', backend: 'b', cause: foreign });
  logger.error({ err: error }, 'Failed.');
  const { err } = JSON.parse(lines.join(''));
  assert.deepEqual(err, {
    type: 'BackendError',
    code: 'upstream_unreachable',
    status: 503,
    source: 'upstream',
    message: 'The backend refused.',
    cause: { type: 'SyntaxError', code: 'EBAD', at: err.cause.at },
  });
  assert.match(err.cause.at, /^router\/src\/telemetry\/log\.test\.ts:\d+$/);
  assert.doesNotMatch(lines.join(''), /my prompt|stack/);
});

test('what is no error at all says only what it is', () => {
  const { logger, lines } = capture();
  logger.error({ err: 'a prompt' }, 'Failed.');
  assert.deepEqual(JSON.parse(lines.join('')).err, { type: 'string' });
});
