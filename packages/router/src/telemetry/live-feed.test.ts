import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import type { HeldView } from '../records/request-view.ts';
import { type LiveChange, LiveFeed } from './live-feed.ts';
import type { Tier } from '../core/request.ts';
import { beginAttempt, beginTrace, type RequestTrace } from '../core/trace.ts';

function traceOf(id: string): RequestTrace {
  const request = { id, model: 'lfo-auto', stream: true, hints: { mode: 'auto' } } as const;
  return beginTrace(request, { startMs: 100, startedAtMs: 1_700_000_000_000 }, 0.7);
}

function finish(feed: LiveFeed, trace: RequestTrace, route: Tier): void {
  trace.route = route;
  trace.finishReason = 'stop';
  trace.endMs = 250;
  feed.end(trace, { status: 200 });
}

test('a watcher hears of each request as it begins, answers and ends', () => {
  const feed = new LiveFeed();
  const heard: LiveChange[] = [];
  feed.subscribe((change) => heard.push(change));
  const trace = traceOf('a');
  feed.begin(chatRequest(), trace);
  feed.refresh();
  trace.committedMs = 180;
  feed.refresh();
  feed.refresh();
  finish(feed, trace, 'local');
  assert.deepEqual(
    heard.map(({ sequence, request }) => [sequence, request.state, request.totalMs]),
    [
      [1, 'running', null],
      [2, 'answering', null],
      [3, 'done', 150],
    ],
  );
});

test('counters tell routes, escalations and failures apart, and leave out clients that left', () => {
  const feed = new LiveFeed();
  const [local, escalated, failed, left, running] = ['a', 'b', 'c', 'd', 'e'].map(traceOf);
  assert.ok(local && escalated && failed && left && running);
  for (const trace of [local, escalated, failed, left, running]) feed.begin(chatRequest(), trace);
  finish(feed, local, 'local');
  beginAttempt(escalated, 'local', 110);
  beginAttempt(escalated, 'cloud', 120);
  finish(feed, escalated, 'cloud');
  feed.end(failed, { status: 502, error: { code: 'upstream_error', source: 'upstream' } });
  feed.end(left, { status: 499, error: { code: 'client_closed_request', source: 'lfo' } });
  assert.deepEqual(feed.snapshot().counters, { started: 5, running: 1, local: 1, cloud: 1, escalated: 1, failed: 1 });
});

test('whoever comes back is told once of each request that changed meanwhile', () => {
  const feed = new LiveFeed();
  const [first, second] = [traceOf('a'), traceOf('b')];
  feed.begin(chatRequest(), first);
  feed.begin(chatRequest(), second);
  const { sequence } = feed.snapshot();
  first.committedMs = 120;
  feed.refresh();
  finish(feed, first, 'local');
  assert.deepEqual(
    feed.since(sequence)?.requests.map(({ id, state }) => [id, state]),
    [['a', 'done']],
  );
  assert.deepEqual(feed.since(feed.snapshot().sequence)?.requests, []);
});

test('whoever was away too long, or comes from another process, needs a whole snapshot', () => {
  const feed = new LiveFeed(2);
  for (const id of ['a', 'b', 'c', 'd']) {
    const trace = traceOf(id);
    feed.begin(chatRequest(), trace);
    finish(feed, trace, 'local');
  }
  assert.equal(feed.since(0), undefined);
  assert.equal(feed.since(1_000), undefined);
  assert.deepEqual(
    feed.snapshot().requests.map(({ id }) => id),
    ['c', 'd'],
  );
});

test('running requests are kept however many have ended since', () => {
  const feed = new LiveFeed(1);
  feed.begin(chatRequest({ hints: { mode: 'auto', clientKey: 'key-1' } }), traceOf('long'));
  for (const id of ['a', 'b', 'c']) {
    const trace = traceOf(id);
    feed.begin(chatRequest(), trace);
    finish(feed, trace, 'local');
  }
  assert.deepEqual([feed.find('long')?.clientKey, feed.find('long')?.view.state], ['key-1', 'running']);
  assert.equal(feed.find('a'), undefined);
});

test('an end counts once, and nobody is told after leaving', () => {
  const feed = new LiveFeed();
  const heard: LiveChange[] = [];
  const leave = feed.subscribe((change) => heard.push(change));
  const trace = traceOf('a');
  feed.begin(chatRequest(), trace);
  finish(feed, trace, 'cloud');
  leave();
  feed.end(trace, { status: 200 });
  feed.refresh();
  assert.deepEqual([feed.snapshot().counters.cloud, heard.length], [1, 2]);
});

test('what is held back of a request is told to the reader it names, and to nobody else', () => {
  const feed = new LiveFeed();
  const heard: HeldView[] = [];
  const stop = feed.watch('reader', (held) => heard.push(held));
  feed.watch('other', () => assert.fail('this one was not named'));
  const trace = traceOf('a');
  const named = { hints: { mode: 'auto', headers: { 'x-lfo-watch': 'reader' } } } as const;
  const follower = feed.begin(named, trace);
  const attempt = beginAttempt(trace, 'local', 120);
  attempt.backend = 'embedded';
  follower.held?.([{ type: 'text-delta', text: 'Syd' }], attempt, undefined);
  follower.held?.([], attempt, { type: 'escalate', score: 0.4, reason: 'low_confidence' });
  assert.deepEqual(
    heard.map(({ text, backend, verdict }) => [text, backend, verdict?.isKept, verdict?.score]),
    [
      ['Syd', 'embedded', undefined, undefined],
      ['', 'embedded', false, 0.4],
    ],
  );
  assert.equal('held' in feed.begin({ hints: { mode: 'auto' } }, traceOf('b')), false);
  stop();
  assert.equal('held' in feed.begin(named, traceOf('c')), false);
});

test('what was answered before the start is in the snapshot until there is enough that is newer', () => {
  const feed = new LiveFeed(2);
  const before = new LiveFeed();
  for (const id of ['a', 'b', 'c']) {
    const trace = traceOf(id);
    before.begin(chatRequest(), trace);
    finish(before, trace, 'local');
  }
  feed.remember(before.snapshot().requests.toReversed());
  const ids = () => feed.snapshot().requests.map(({ id }) => id);
  assert.deepEqual(ids(), ['b', 'c']);
  const trace = traceOf('d');
  feed.begin(chatRequest(), trace);
  assert.deepEqual(ids(), ['c', 'd']);
  assert.equal(feed.since(0)?.requests.length, 1, 'who was here already is not told again');
});

test('whose a request is that another router has answered is known', () => {
  const elsewhere = new LiveFeed();
  const trace = traceOf('a');
  elsewhere.begin(chatRequest({ hints: { mode: 'auto', clientKey: 'key-1' } }), trace);
  finish(elsewhere, trace, 'local');
  const feed = new LiveFeed();
  for (const stored of elsewhere.snapshot().requests) feed.endedElsewhere(stored);
  assert.equal(feed.find('a')?.clientKey, 'key-1');
});
