import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock, settle } from '@lfo/testing/fake-clock.ts';
import { sleep } from '../../core/clock.ts';
import type { Consumption, KeyLimits, UsageLedger } from '../../core/identity.ts';
import { type LimitAnswer, type LimitAsk, nothing, plus } from './limit-store.ts';
import { MemoryLimits } from './memory-limits.ts';
import type { Renewal, SharedAnswer, SharedLimitStore } from './shared-limit-store.ts';
import { SharedLimits } from './shared-limits.ts';

type Granted = Extract<LimitAnswer, { readonly type: 'granted' }>;

/** Counts right while it is up; what it is asked while it hangs it never answers. */
class FlakyStore implements SharedLimitStore {
  state: 'up' | 'refusing' | 'hanging' = 'up';
  calls = 0;
  /** Before it does anything. */
  delayMs = 0;
  readonly renewals: Renewal[] = [];
  readonly day = new Map<string, Consumption>();
  readonly #clock: FakeClock;
  readonly #ledger: Pick<UsageLedger, 'today'> = { today: (id) => this.day.get(id) ?? nothing };
  #counts: MemoryLimits;
  #born = 1;

  constructor(clock: FakeClock) {
    this.#clock = clock;
    this.#counts = new MemoryLimits(clock, this.#ledger);
  }

  async take(ask: LimitAsk): Promise<SharedAnswer> {
    await this.#up();
    const before = this.#counts.stateOf(ask.keyId);
    const answer = this.#counts.take(ask);
    if (answer.type === 'granted') this.#add(ask.keyId, { requests: 1, tokens: 0, usd: 0 });
    return { isGranted: answer.type === 'granted', state: before, born: this.#born };
  }

  async settle(keyId: string, _reserved: unknown, used: { tokens: number; usd: number }): Promise<void> {
    await this.#up();
    this.#add(keyId, { requests: 0, ...used });
  }

  async renew(renewals: readonly Renewal[]): Promise<void> {
    await this.#up();
    this.renewals.push(...renewals);
    for (const { keyId, owed } of renewals) this.#add(keyId, owed.day);
  }

  async close(): Promise<void> {}

  /** As after a restart without a disk. */
  empty(): void {
    this.#counts = new MemoryLimits(this.#clock, this.#ledger);
    this.#born++;
  }

  #add(keyId: string, used: Consumption): void {
    this.day.set(keyId, plus(this.day.get(keyId) ?? nothing, used));
  }

  async #up(): Promise<void> {
    this.calls++;
    if (this.delayMs > 0) await sleep(this.#clock, this.delayMs, new AbortController().signal);
    if (this.state === 'hanging') return new Promise(() => {});
    if (this.state === 'refusing') throw new Error('refused');
  }
}

function setUp(
  limits: KeyLimits,
  { onOutage = 'share', ...more }: { routers?: number | undefined; onOutage?: 'share' | 'deny' | 'allow' } = {},
) {
  const routers = 'routers' in more ? more.routers : 3;
  const clock = new FakeClock();
  const store = new FlakyStore(clock);
  const health: boolean[] = [];
  const shared = new SharedLimits({
    store,
    clock,
    ledger: { unwritten: () => nothing },
    routers: () => routers,
    waitMs: () => 50,
    onOutage: () => onOutage,
    onHealth: (isAnswering) => void health.push(isAnswering),
  });
  const ask = async (changes: Partial<LimitAsk> = {}): Promise<LimitAnswer> => {
    const answer = shared.take({ keyId: 'k', limits, tokens: 10, usd: 0.1, mode: 'cloud', ...changes });
    const end = { isThere: false };
    void answer.finally(() => (end.isThere = true));
    await settle(8);
    // A store that hangs is waited for.
    for (let waited = 0; !end.isThere && waited < 200; waited += 50) await clock.advanceAsync(50);
    return answer;
  };
  const grants = async (count: number): Promise<readonly Granted[]> => {
    const granted: Granted[] = [];
    for (let request = 0; request < count; request++) {
      const answer = await ask();
      if (answer.type === 'granted') granted.push(answer);
    }
    return granted;
  };
  return { clock, store, health, shared, ask, grants };
}

test('while the store fails a router gives its share of what was left, and of each minute that follows', async () => {
  const { clock, store, grants, health } = setUp({ requestsPerMinute: 60 });
  assert.equal((await grants(30)).length, 30);
  store.state = 'refusing';
  // A third of the 30 that were left.
  assert.equal((await grants(64)).length, 10);
  assert.deepEqual(health, [false]);
  await clock.advanceAsync(60_000);
  assert.equal((await grants(64)).length, 20);
});

test('a share is one at least where anything is left, and none where nothing is', async () => {
  const one = setUp({ requestsPerDay: 3 });
  await one.grants(2);
  one.store.state = 'refusing';
  assert.equal((await one.grants(9)).length, 1);
  const none = setUp({ requestsPerDay: 3 });
  await none.grants(3);
  none.store.state = 'refusing';
  assert.equal((await none.grants(9)).length, 0);
});

test('nothing is shared out among routers whose number is not known yet', async () => {
  const { store, grants, ask } = setUp({ requestsPerMinute: 60 }, { routers: undefined });
  store.state = 'refusing';
  assert.equal((await grants(8)).length, 0);
  assert.equal((await ask()).type, 'unavailable');
});

test('a store that hangs is waited for three times, then asked once a second', async () => {
  const { clock, store, ask } = setUp({ requestsPerMinute: 600 });
  await ask();
  store.state = 'hanging';
  const before = store.calls;
  const startMs = clock.nowMs();
  for (let request = 0; request < 20; request++) assert.equal((await ask()).type, 'granted');
  assert.equal(store.calls - before, 3);
  assert.equal(clock.nowMs() - startMs, 150);
  await clock.advanceAsync(1_000);
  await ask();
  await ask();
  assert.equal(store.calls - before, 4);
});

test('a key that was never seen gets its part of minutes and concurrency; of days and money nobody can tell', async () => {
  const minutes = setUp({ requestsPerMinute: 30, concurrency: 6 });
  minutes.store.state = 'refusing';
  assert.equal((await minutes.grants(9)).length, 2);
  for (const limits of [{ usdPerDay: 1 }, { tokensPerDay: 100 }, { requestsPerDay: 5 }]) {
    const days = setUp(limits);
    days.store.state = 'refusing';
    assert.equal((await days.ask()).type, 'unavailable');
  }
});

test('while the store fails a key still hears its limits, and what is left of them here', async () => {
  const limits = { requestsPerMinute: 60, requestsPerDay: 1_000 };
  const { clock, store, shared, grants } = setUp(limits);
  const told = () => shared.look('k', limits).map(({ name, limit, used }) => [name, limit, limit - used]);
  assert.deepEqual(told(), [], 'it was never seen');
  await grants(30);
  assert.deepEqual(told(), [
    ['requestsPerMinute', 60, 30],
    ['requestsPerDay', 1_000, 970],
  ]);
  store.state = 'hanging';
  await grants(1);
  // A third of what was left, less this one.
  assert.deepEqual(told(), [
    ['requestsPerMinute', 60, 9],
    ['requestsPerDay', 1_000, 322],
  ]);
  await clock.advanceAsync(60_000);
  assert.deepEqual(told()[0], ['requestsPerMinute', 60, 20]);
  const all = setUp(limits, { onOutage: 'allow' });
  await all.grants(1);
  all.store.state = 'refusing';
  await all.grants(1);
  assert.deepEqual(all.shared.look('k', limits), [], 'nothing holds it');
});

test('a request that could only be refused waits longer for the store', async () => {
  const slow = async (limits: KeyLimits, answersAfterMs: number, onOutage: 'share' | 'deny' = 'share') => {
    const { clock, store, shared } = setUp(limits, { onOutage });
    store.delayMs = answersAfterMs;
    const startMs = clock.nowMs();
    let endMs = startMs;
    const answer = shared.take({ keyId: 'k', limits, tokens: 10, usd: 0, mode: 'cloud' });
    void answer.finally(() => (endMs = clock.nowMs()));
    for (let waited = 0; waited < 1_000; waited += 10) await clock.advanceAsync(10);
    const { type } = await answer;
    return [type, endMs - startMs];
  };
  assert.deepEqual(await slow({ requestsPerDay: 5 }, 300), ['granted', 300]);
  assert.deepEqual(await slow({ requestsPerDay: 5 }, 900), ['unavailable', 500]);
  assert.deepEqual(await slow({ requestsPerMinute: 30 }, 300, 'deny'), ['granted', 300]);
  assert.deepEqual(await slow({ requestsPerMinute: 30 }, 300), ['granted', 50], 'of its share');
});

test('concurrency: what runs here stays, and of the places left a share is given', async () => {
  const { store, grants, ask } = setUp({ concurrency: 12 });
  const running = await grants(3);
  store.state = 'refusing';
  const more = await grants(20);
  assert.equal(more.length, 3);
  running[0]?.settle({ tokens: 1, usd: 0 });
  assert.equal((await ask()).type, 'granted');
  assert.equal((await ask()).type, 'refused');
});

test('money: a share of what was left, and auto stays local beyond it', async () => {
  const { store, ask, grants } = setUp({ usdPerDay: 0.93 });
  for (const ticket of await grants(3)) ticket.settle({ tokens: 1, usd: 0.1 });
  store.state = 'refusing';
  // 0.21 of 0.63 dollars: two answers of 0.1.
  assert.equal((await grants(9)).length, 2);
  const auto = await ask({ mode: 'auto' });
  assert.equal(auto.type === 'granted' ? auto.outOfMoney?.limit : undefined, 0.93);
});

test('what an outage used is owed, and paid before anything else when the store is back', async () => {
  const { clock, store, ask, grants, health } = setUp({ requestsPerDay: 30, tokensPerDay: 10_000 });
  await grants(3);
  store.state = 'refusing';
  const [first, second] = await grants(4);
  first?.settle({ tokens: 25, usd: 0 });
  store.state = 'up';
  await clock.advanceAsync(1_000);
  assert.equal((await ask()).type, 'granted');
  assert.deepEqual(health, [false, true]);
  const renewal = store.renewals.at(-1);
  assert.equal(renewal?.owed.day.requests, 4);
  assert.equal(renewal?.owed.day.tokens, 25);
  assert.equal(renewal?.running.requests, 3 + 3);
  assert.equal(store.day.get('k')?.requests, 8);
  // One that came in meanwhile ends like any other.
  second?.settle({ tokens: 40, usd: 0 });
  await settle();
  assert.equal(store.day.get('k')?.tokens, 65);
});

test('a store that has lost its counts hears what runs here at the next request', async () => {
  const { store, grants, ask } = setUp({ concurrency: 9 });
  await grants(4);
  store.empty();
  await ask();
  assert.equal(store.renewals.length, 0);
  await ask();
  assert.equal(store.renewals.at(-1)?.running.requests, 5);
});

test('places are renewed every five seconds, and at the end nothing runs here any more', async () => {
  const { clock, store, grants, shared } = setUp({ concurrency: 9 });
  const [ticket] = await grants(1);
  await clock.advanceAsync(5_000);
  await clock.advanceAsync(5_000);
  assert.deepEqual(
    store.renewals.map(({ running }) => running.requests),
    [1, 1],
  );
  ticket?.settle({ tokens: 1, usd: 0 });
  await settle();
  await shared.close();
  assert.equal(clock.pendingTimers, 0);
});

test('the operator may have keys refused, or let in, instead', async () => {
  const deny = setUp({ requestsPerMinute: 60 }, { onOutage: 'deny' });
  const allow = setUp({ requestsPerMinute: 6 }, { onOutage: 'allow' });
  for (const { store, grants } of [deny, allow]) {
    await grants(1);
    store.state = 'refusing';
  }
  assert.equal((await deny.ask()).type, 'unavailable');
  assert.equal((await allow.grants(50)).length, 50);
});
