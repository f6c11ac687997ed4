import type { TestContext } from 'node:test';
import { startRouter, type TestRouter } from './router.ts';
import { ScriptedUpstream } from './scripted-upstream.ts';
import type { Script } from './upstream/exchange.ts';

/** A router with one upstream of each tier; each records what it is sent. */
export interface Tiers {
  readonly router: TestRouter;
  readonly local: ScriptedUpstream;
  readonly cloud: ScriptedUpstream;
}

export interface TiersOptions {
  /** Of each upstream; without one it speaks OpenAI's wire. */
  readonly local?: Script;
  readonly cloud?: Script;
  /** Rest of the entry of `near`, the local backend, and of `far`, that of the cloud. */
  readonly near?: string;
  readonly far?: string;
  /** Instead of the cloud's own. */
  readonly cloudOrigin?: string;
  /** Lines of `lfo.yaml` beside the backends. */
  readonly settings?: string;
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts them; they end with the test. */
export async function startTiers(t: TestContext, options: TiersOptions = {}): Promise<Tiers> {
  const { near = 'models: [small]', far = 'models: [big]', settings = '', env = {} } = options;
  const local = await ScriptedUpstream.start(options.local);
  const cloud = await ScriptedUpstream.start(options.cloud);
  t.after(() => Promise.all([local.close(), cloud.close()]));
  const yaml = `${settings}
backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", ${near} }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${options.cloudOrigin ?? cloud.origin}/v1", ${far} }
`;
  return { router: await startRouter(t, { yaml, env }), local, cloud };
}
