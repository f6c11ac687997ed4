import assert from 'node:assert/strict';
import { test, type TestContext, type TestOptions } from 'node:test';
import type { LimitAnswer, LimitAsk, LimitStore } from './limit-store.ts';

/** Opens a store that counts from nothing; one a router where several share it. Ends with the test. */
export type OpenLimits = (t: TestContext, routers: number) => Promise<readonly LimitStore[]>;

type Granted = Extract<LimitAnswer, { readonly type: 'granted' }>;

function ask(changes: Partial<LimitAsk>): LimitAsk {
  return { keyId: 'k', limits: {}, tokens: 10, usd: 0, mode: 'cloud', ...changes };
}

async function takeAll(stores: readonly LimitStore[], count: number, asked: LimitAsk): Promise<readonly LimitAnswer[]> {
  const chosen = Array.from({ length: count }, (_each, index) => stores[index % stores.length]);
  return Promise.all(chosen.map(async (store) => (await store?.take(asked)) ?? assert.fail()));
}

function granted(answers: readonly LimitAnswer[]): readonly Granted[] {
  return answers.filter((answer) => answer.type === 'granted');
}

async function refusal(store: LimitStore, asked: LimitAsk) {
  const answer = await store.take(asked);
  return answer.type === 'refused' ? answer.by : assert.fail(`it was ${answer.type}`);
}

/** Settlements travel for a moment. */
async function eventually(store: LimitStore, asked: LimitAsk): Promise<Granted> {
  for (let look = 0; look < 200; look++) {
    const answer = await store.take(asked);
    if (answer.type === 'granted') return answer;
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return assert.fail('nothing was given back');
}

/** What every store of limits does, with one router and with several where they share it. */
export function describeLimits(name: string, open: OpenLimits, routers: number, options: TestOptions = {}): void {
  const limits = (what: string, run: (stores: readonly LimitStore[], first: LimitStore) => Promise<void>): void => {
    test(`${name}: ${what}`, options, async (t) => {
      const stores = await open(t, routers);
      await run(stores, stores[0] ?? assert.fail());
    });
  };

  limits('64 at once get exactly the requests of a minute, and hear when the next begins', async (stores, first) => {
    const asked = ask({ limits: { requestsPerMinute: 30 } });
    assert.equal(granted(await takeAll(stores, 64, asked)).length, 30);
    const by = await refusal(first, asked);
    assert.equal(by.name, 'requestsPerMinute');
    assert.equal(by.used, 30);
    assert.ok(by.resetMs > 50_000 && by.resetMs <= 60_000, String(by.resetMs));
  });

  limits('64 at once get exactly the requests of a day', async (stores, first) => {
    const asked = ask({ limits: { requestsPerDay: 30 } });
    assert.equal(granted(await takeAll(stores, 64, asked)).length, 30);
    const by = await refusal(first, asked);
    assert.ok(by.resetMs > 0 && by.resetMs <= 86_400_000);
  });

  limits('no more run at once than may, and what ends gives its place back, once', async (stores, first) => {
    const asked = ask({ limits: { concurrency: 4 } });
    const running = granted(await takeAll(stores, 64, asked));
    assert.equal(running.length, 4);
    assert.equal((await refusal(first, asked)).name, 'concurrency');
    running[0]?.settle({ tokens: 1, usd: 0 });
    await eventually(first, asked);
    await refusal(first, asked);
    for (const ticket of running.slice(1)) ticket.settle({ tokens: 1, usd: 0 });
    for (let place = 0; place < 3; place++) await eventually(stores[place % stores.length] ?? first, asked);
    await refusal(first, asked);
  });

  limits('tokens are reserved while a request runs and paid as used when it ends', async (_stores, first) => {
    const asked = ask({ limits: { tokensPerMinute: 100 }, tokens: 60 });
    const [one] = granted([await first.take(asked)]);
    const by = await refusal(first, asked);
    assert.equal(by.used, 60);
    assert.equal(by.isFirstGuess, false);
    one?.settle({ tokens: 20, usd: 0 });
    const next = await eventually(first, asked);
    next.settle({ tokens: 80, usd: 0 });
    const after = async (): Promise<number> => (await refusal(first, asked)).used;
    while ((await after()) !== 100) await new Promise((resolve) => setTimeout(resolve, 10));
    assert.deepEqual(
      first.look('k', asked.limits).map(({ used }) => used),
      [100],
    );
  });

  limits('a guess beyond the limit comes in alone', async (stores, first) => {
    const asked = ask({ limits: { tokensPerDay: 100 }, tokens: 5_000 });
    assert.equal(granted(await takeAll(stores, 8, asked)).length, 1);
    await refusal(first, asked);
  });

  limits('64 at once, ten times over, spend the money and one answer more at most', async (stores) => {
    const limit = 1;
    const usd = 0.13;
    let spent = 0;
    const asked = ask({ limits: { usdPerDay: limit }, tokens: 0, usd });
    for (let round = 0; round < 10; round++) {
      const running = granted(await takeAll(stores, 64, asked));
      spent += running.length * usd;
      for (const ticket of running) ticket.settle({ tokens: 0, usd });
      await new Promise((resolve) => setTimeout(resolve, 30));
    }
    assert.ok(spent >= limit - usd && spent <= limit + usd, `${spent} of ${limit}`);
  });

  limits('without money auto and local go on and hold none, and cloud is refused', async (_stores, first) => {
    const money = { limits: { usdPerMinute: 1 }, usd: 0.9 };
    assert.equal(granted([await first.take(ask(money))])[0]?.outOfMoney, undefined);
    assert.equal((await refusal(first, ask(money))).name, 'usdPerMinute');
    const [auto] = granted([await first.take(ask({ ...money, mode: 'auto' }))]);
    assert.equal(auto?.outOfMoney?.name, 'usdPerMinute');
    assert.equal(granted([await first.take(ask({ ...money, mode: 'local', usd: 0 }))]).length, 1);
    assert.equal((await refusal(first, ask(money))).used, 0.9);
  });

  limits('keys count apart, and what is refused uses nothing', async (stores, first) => {
    const one = ask({ limits: { requestsPerMinute: 1 } });
    await first.take(one);
    assert.equal(granted(await takeAll(stores, 20, one)).length, 0);
    assert.equal((await refusal(first, one)).used, 1);
    assert.equal(granted(await takeAll(stores, 20, { ...one, keyId: 'other' })).length, 1);
  });

  limits('several limits hold at once, and the one that is full is named', async (_stores, first) => {
    const asked = ask({ limits: { concurrency: 9, requestsPerMinute: 9, tokensPerDay: 25 } });
    for (let request = 0; request < 2; request++) await first.take(asked);
    assert.equal((await refusal(first, asked)).name, 'tokensPerDay');
  });
}
