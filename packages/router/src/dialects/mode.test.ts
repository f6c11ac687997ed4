import assert from 'node:assert/strict';
import { test } from 'node:test';

import { LfoError } from '../core/errors.ts';
import type { ListedModel } from '../core/exchange.ts';
import type { JsonObject } from '../core/json.ts';
import type { Mode, RoutingHints } from '../core/request.ts';
import type { KeyIdentity } from '../core/identity.ts';
import { readHints } from './mode.ts';

const owner: KeyIdentity = { id: 'owner', scopes: ['chat'] };
const auto: ListedModel = { id: 'lfo-auto', ownedBy: 'lfo', aliasOf: 'auto' };
const local: ListedModel = { id: 'lfo-local', ownedBy: 'lfo', aliasOf: 'local' };
const cloud: ListedModel = { id: 'lfo-cloud', ownedBy: 'lfo', aliasOf: 'cloud' };
const pinned: ListedModel = { id: 'tiny', ownedBy: 'embedded', tier: 'local' };

interface Said {
  readonly model?: ListedModel;
  readonly metadata?: JsonObject;
  readonly headers?: Record<string, string>;
  readonly identity?: KeyIdentity;
  readonly conversation?: string;
  readonly isStream?: boolean;
}

function hints(said: Said): RoutingHints {
  return readHints({
    model: auto,
    metadata: undefined,
    headers: {},
    identity: owner,
    conversation: undefined,
    isStream: false,
    ...said,
  });
}

function refusal(said: Said): readonly [status: number, param: string | undefined] {
  try {
    hints(said);
  } catch (error) {
    if (error instanceof LfoError) return [error.status, error.param];
  }
  return assert.fail('nothing was refused');
}

const agreements: readonly (readonly [Said, Mode])[] = [
  [{}, 'auto'],
  [{ model: local }, 'local'],
  [{ model: cloud, metadata: { mode: 'auto' } }, 'cloud'],
  [{ metadata: { mode: 'local' }, headers: { 'x-lfo-mode': 'auto' } }, 'local'],
  [{ metadata: { mode: 'auto' }, headers: { 'x-lfo-mode': 'cloud' } }, 'cloud'],
  [{ model: pinned }, 'local'],
  [{ model: pinned, metadata: { mode: 'local' } }, 'local'],
  [{ identity: { ...owner, tiers: ['local'] } }, 'local'],
  [{ identity: { ...owner, tiers: ['local', 'cloud'] }, model: cloud }, 'cloud'],
];
for (const [said, mode] of agreements) {
  test(`${JSON.stringify(said)} is ${mode}`, () => assert.equal(hints(said).mode, mode));
}

const conflicts: readonly (readonly [Said, number, string | undefined])[] = [
  [{ model: local, metadata: { mode: 'cloud' } }, 400, 'metadata.mode'],
  [{ metadata: { mode: 'local' }, headers: { 'x-lfo-mode': 'cloud' } }, 400, 'x-lfo-mode'],
  [{ model: pinned, headers: { 'x-lfo-mode': 'cloud' } }, 400, 'x-lfo-mode'],
  [{ headers: { 'x-lfo-mode': '' } }, 400, 'x-lfo-mode'],
  [{ headers: { 'x-lfo-mode': 'LOCAL' } }, 400, 'x-lfo-mode'],
  [{ headers: { 'x-lfo-mode': 'local, local' } }, 400, 'x-lfo-mode'],
  [{ metadata: { mode: ' local' } }, 400, 'metadata.mode'],
  [{ metadata: { mode: ['local'] } }, 400, 'metadata.mode'],
  [{ metadata: { mode: '' } }, 400, 'metadata.mode'],
  [{ model: cloud, identity: { ...owner, tiers: ['local'] } }, 403, undefined],
  [{ identity: { ...owner, tiers: [] } }, 403, undefined],
  [{ metadata: { confidence_threshold: 'NaN' } }, 400, 'metadata.confidence_threshold'],
  [{ metadata: { confidence_threshold: '' } }, 400, 'metadata.confidence_threshold'],
  [{ metadata: { confidence_threshold: -0.1 } }, 400, 'metadata.confidence_threshold'],
  [{ headers: { 'x-lfo-deadline-ms': '0' } }, 400, 'x-lfo-deadline-ms'],
  [{ headers: { 'x-lfo-deadline-ms': 'soon' } }, 400, 'x-lfo-deadline-ms'],
];
for (const [said, status, param] of conflicts) {
  test(`${JSON.stringify(said)} is refused`, () => assert.deepEqual(refusal(said), [status, param]));
}

test('a threshold is a number or a numeric string', () => {
  assert.equal(hints({ metadata: { confidence_threshold: 0 } }).confidenceThreshold, 0);
  assert.equal(hints({ metadata: { confidence_threshold: '0.85' } }).confidenceThreshold, 0.85);
  assert.equal(hints({}).confidenceThreshold, undefined);
});

test('the shorter of our deadline and the SDK time-out counts', () => {
  assert.equal(hints({ headers: { 'x-lfo-deadline-ms': '900', 'x-stainless-timeout': '600' } }).deadlineMs, 900);
  assert.equal(hints({ headers: { 'x-stainless-timeout': '2' } }).deadlineMs, 2000);
  assert.equal(hints({ headers: { 'x-stainless-timeout': 'never' } }).deadlineMs, undefined);
});

test('the time-out of an SDK bounds the head of a stream, not the stream', () => {
  const headers = { 'x-stainless-timeout': '2' };
  const stream = hints({ headers, isStream: true });
  assert.equal(stream.deadlineMs, undefined);
  assert.equal(stream.headDeadlineMs, 2000);
  assert.equal(hints({ headers }).headDeadlineMs, undefined);
  const both = hints({ headers: { ...headers, 'x-lfo-deadline-ms': '900' }, isStream: true });
  assert.deepEqual([both.deadlineMs, both.headDeadlineMs], [900, 2000]);
});

test('a session belongs to the key that names it', () => {
  const one = hints({ conversation: 'chat', identity: { ...owner, id: 'one' } });
  const two = hints({ headers: { 'x-lfo-session': 'chat' }, identity: { ...owner, id: 'two' } });
  assert.notEqual(one.sessionKey, two.sessionKey);
  assert.equal(hints({}).sessionKey, undefined);
});

test('security 25: conversations and caches of two keys never meet', () => {
  const of = (id: string) => hints({ identity: { id, scopes: ['chat'] }, conversation: 'the same' });
  const [mine, yours] = [of('mine'), of('yours')];
  assert.notEqual(mine.sessionKey, yours.sessionKey);
  assert.deepEqual([mine.clientKey, yours.clientKey], ['mine', 'yours']);
  assert.equal(of('mine').sessionKey, mine.sessionKey);
});

test('another LFO says how many have passed the request on, and its trace; a fourth is a loop', () => {
  const traceparent = `00-${'a'.repeat(32)}-${'b'.repeat(16)}-01`;
  const passed = hints({ headers: { 'x-lfo-hops': '3', traceparent } });
  assert.deepEqual(passed.caller, { hops: 3, trace: { traceId: 'a'.repeat(32), spanId: 'b'.repeat(16) } });
  assert.deepEqual(hints({ headers: { 'x-lfo-hops': '1', traceparent: 'no trace' } }).caller, { hops: 1 });
  assert.equal(hints({ headers: { traceparent } }).caller, undefined);
  assert.throws(() => hints({ headers: { 'x-lfo-hops': '4' } }), { code: 'loop_detected', status: 508 });
  for (const bad of ['0', '-1', 'two', '1.5']) {
    assert.throws(() => hints({ headers: { 'x-lfo-hops': bad } }), { param: 'x-lfo-hops', status: 400 });
  }
});

test('a conversation is named by the headers of clients and gateways, ours first', () => {
  for (const name of ['x-lfo-session', 'x-session-id', 'x-session-affinity', 'session_id']) {
    assert.equal(hints({ headers: { [name]: 'chat' } }).sessionKey, hints({ conversation: 'chat' }).sessionKey);
  }
  const both = hints({ headers: { 'x-session-id': 'theirs', 'x-lfo-session': 'ours' } });
  assert.equal(both.sessionKey, hints({ conversation: 'ours' }).sessionKey);
});
