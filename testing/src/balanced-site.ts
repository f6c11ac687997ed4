import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';
import type { KeyLimits } from '@lfo/router/src/core/identity.ts';
import { KeyTable } from '@lfo/router/src/keys/key-table.ts';
import { PostgresStore } from '@lfo/router/src/records/store/postgres-store.ts';
import { Pool } from 'undici';
import { type BalancedRouters, startBalanced } from './balanced-routers.ts';
import { until } from './faults/keyed-process.ts';
import { ScriptedUpstream } from './scripted-upstream.ts';
import type { Script } from './upstream/exchange.ts';
import { answerWith } from './upstream/openai-answer.ts';

/** Of the operator, at every router. */
export const ownerKey = 'the-key-of-the-owner-of-all-of-this';

/** 130 tokens, at 0.13 dollars. */
export const answeredSlowly = answerWith({
  deltas: ['Can', 'ber', 'ra'],
  usage: { prompt_tokens: 30, completion_tokens: 100, total_tokens: 130 },
});

export interface SiteOptions {
  readonly databaseUrl: string;
  readonly env?: Readonly<Record<string, string>>;
  readonly drainMs?: number;
  readonly count?: number;
  /** Longest that the store of limits is waited for; by default longer than any busy machine takes. */
  readonly storeWaitMs?: number;
  /** What the cloud takes for an answer. */
  readonly answerMs?: number;
}

/** Routers on one PostgreSQL behind nginx, before a scripted cloud. */
export interface Site {
  readonly routers: BalancedRouters;
  readonly store: PostgresStore;
  readonly cloud: ScriptedUpstream;
  /** Chats at the cloud: now, and at once at the most. */
  readonly running: { now: number; most: number };
  readonly databaseUrl: string;
  /** Status of a chat through the balancer, or at one router. */
  chat(key: string, body?: object, at?: string): Promise<{ status: number; router: string | undefined; text: string }>;
  /** A key with these limits that all routers know. */
  key(limits: KeyLimits, more?: { readonly expiresMs?: number }): Promise<string>;
}

/** Starts it all; it ends with the test. */
export async function startSite(t: TestContext, options: SiteOptions): Promise<Site> {
  const { databaseUrl, env = {}, drainMs = 0, count = 3, storeWaitMs = 2_000, answerMs = 300 } = options;
  const running = { now: 0, most: 0 };
  /** Slow enough that all clients are there before the first has its answer. */
  const slowly: Script = async (exchange) => {
    running.most = Math.max(running.most, ++running.now);
    await exchange.pause(answerMs);
    running.now--;
    await answeredSlowly(exchange);
  };
  const cloud = await ScriptedUpstream.start(slowly);
  t.after(() => cloud.close());
  const yaml = `server: { drain_ms: ${drainMs} }
limits: { store_wait_ms: ${storeWaitMs} }
prices:
  big: { prompt: 1000, cached: 1000, completion: 1000 }
backends:
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big], concurrency: 1000 }
`;
  const routers = await startBalanced(t, {
    routers: count,
    yaml,
    env: { DATABASE_URL: databaseUrl, LFO_AUTH_TOKEN: ownerKey, ...env },
  });
  const store = new PostgresStore(databaseUrl);
  t.after(() => store.close());
  const pools = new Map([routers.url, ...routers.urls].map((url) => [url, new Pool(url, { connections: 256 })]));
  t.after(() => Promise.all([...pools.values()].map((pool) => pool.destroy())));
  const keys = new KeyTable(store);
  return {
    routers,
    store,
    cloud,
    running,
    databaseUrl,
    async chat(key, body = {}, at = routers.url) {
      const pool = pools.get(at) ?? assert.fail('no such router');
      const answer = await pool.request({
        method: 'POST',
        path: '/v1/chat/completions',
        headers: { 'content-type': 'application/json', authorization: `Bearer ${key}` },
        body: JSON.stringify({ model: 'lfo-cloud', messages: [{ role: 'user', content: 'Hello' }], ...body }),
      });
      const { 'x-lfo-router': router } = answer.headers;
      return {
        status: answer.statusCode,
        router: typeof router === 'string' ? router : undefined,
        text: await answer.body.text(),
      };
    },
    async key(limits, more = {}) {
      const { text } = await keys.create({ name: 'limited', scopes: ['chat'], limits, ...more }, Date.now());
      const headers = { authorization: `Bearer ${text}` };
      for (const url of routers.urls) {
        await until('the key is known', async () => (await fetch(`${url}/v1/models`, { headers })).ok);
      }
      return text;
    },
  };
}
