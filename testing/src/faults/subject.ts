import assert from 'node:assert/strict';
import type { TestContext } from 'node:test';

import { asking, startRouter, type TestRouter, type TestRouterOptions } from '../router.ts';
import { ScriptedUpstream } from '../scripted-upstream.ts';
import { at, saidIn } from '../sse.ts';
import type { Exchange, Script } from '../upstream/exchange.ts';

/** One kind of HTTP backend as the fault tests see it: how it is configured and how its wire looks. */
export interface FaultSubject {
  readonly name: string;
  readonly tier: 'local' | 'cloud';
  /** What clients ask for to reach this backend and no other. */
  readonly model: string;
  /** An entry of `backends`. */
  readonly entry: (origin: string, more?: string) => string;
  /** One event of a stream that carries this text. */
  readonly text: (text: string) => string;
  /** What ends a stream well. */
  readonly end: string;
  /** A whole answer, not streamed. */
  readonly whole: (text: string) => object;
}

export const eventStream = { 'content-type': 'text/event-stream' } as const;

const openaiChunk = (delta: object, finish: string | null = null): string =>
  `data: ${JSON.stringify({ id: 'c', model: 'm', choices: [{ index: 0, delta, finish_reason: finish }] })}\n\n`;

const openai = (tier: 'local' | 'cloud'): FaultSubject => ({
  name: `openai-compatible, ${tier}`,
  tier,
  model: `lfo-${tier}`,
  entry: (origin, more = '') =>
    `{ name: ${tier}-server, kind: openai-compatible, tier: ${tier}, base_url: "${origin}/v1", models: [m-${tier}], api_key: key-of-the-operator${more} }`,
  text: (content) => openaiChunk({ content }),
  end: `${openaiChunk({}, 'stop')}data: [DONE]\n\n`,
  whole: (content) => ({
    model: 'm',
    choices: [{ index: 0, message: { role: 'assistant', content }, finish_reason: 'stop' }],
  }),
});

const geminiChunk = (text: string, finishReason?: string): object => ({
  candidates: [
    { content: { role: 'model', parts: text === '' ? [] : [{ text }] }, ...(finishReason && { finishReason }) },
  ],
});

const gemini: FaultSubject = {
  name: 'gemini',
  tier: 'cloud',
  model: 'lfo-cloud',
  entry: (origin, more = '') =>
    `{ name: google, kind: gemini, base_url: "${origin}", models: [gemini-2.5-flash], api_key: key-of-the-operator${more} }`,
  text: (text) => `data: ${JSON.stringify(geminiChunk(text))}\r\n\r\n`,
  end: `data: ${JSON.stringify(geminiChunk('', 'STOP'))}\r\n\r\n`,
  whole: (text) => geminiChunk(text, 'STOP'),
};

export const localServer = openai('local');
export const cloudServer = openai('cloud');
/** Each way to speak HTTP to a backend. */
export const subjects: readonly FaultSubject[] = [localServer, cloudServer, gemini];
export const geminiCloud = gemini;

/** Budgets for tests in which one of them ends; in others a busy machine would meet them. */
export const shortBudgets = `budgets:
  local: { connect_ms: 300, first_token_ms: 400, idle_ms: 400, total_ms: 20000 }
  cloud: { connect_ms: 300, first_token_ms: 400, idle_ms: 400, total_ms: 20000 }
`;

const shortRetries = 'retry: { base_delay_ms: 5, max_delay_ms: 20 }';

/** A backend that plays what it is told when its model is called, and lists its models in any case. */
export interface Player {
  readonly upstream: ScriptedUpstream;
  /** Each script answers one call, the last one every further call. */
  readonly play: (...scripts: readonly [Script, ...Script[]]) => void;
  /** Calls of the model so far. */
  readonly calls: () => number;
  /** The latest of them. */
  readonly lastCall: () => Exchange;
}

export async function startPlayer(t: TestContext, subject: FaultSubject): Promise<Player> {
  let scripts: readonly Script[] = [says(subject, 'well')];
  let played = 0;
  const upstream = await ScriptedUpstream.start((exchange) => {
    if (exchange.request.method === 'GET') return exchange.json(200, { data: [], models: [] });
    return scripts[Math.min(played++, scripts.length - 1)]?.(exchange);
  });
  t.after(() => upstream.close());
  const posts = (): Exchange[] => upstream.exchanges.filter(({ request }) => request.method === 'POST');
  return {
    upstream,
    play(...next) {
      scripts = next;
      played = 0;
    },
    calls: () => posts().length,
    lastCall: () => {
      const last = posts().at(-1);
      assert.ok(last, 'the backend was called');
      return last;
    },
  };
}

/** A router with one backend. */
export interface FaultRig extends Player {
  readonly router: TestRouter;
}

export interface RigOptions extends TestRouterOptions {
  /** Of the backend's entry: `, concurrency: 1`. */
  readonly entry?: string;
  /** Further entries of `backends`. */
  readonly others?: readonly string[];
  /** Sections of `lfo.yaml`. */
  readonly yaml?: string;
}

export async function startRig(t: TestContext, subject: FaultSubject, options: RigOptions = {}): Promise<FaultRig> {
  const player = await startPlayer(t, subject);
  const { entry, others = [], yaml = '', ...rest } = options;
  const router = await startRouter(t, {
    yaml: fleetYaml([subject.entry(player.upstream.origin, entry), ...others], yaml),
    ...rest,
  });
  if (subject.tier === 'local') await player.upstream.received(1); // its first look at the models
  return { ...player, router };
}

/** A router with a local and a cloud server. */
export async function startBoth(
  t: TestContext,
  yaml = '',
): Promise<{ readonly router: TestRouter; readonly local: Player; readonly cloud: Player }> {
  const local = await startPlayer(t, localServer);
  const cloud = await startPlayer(t, cloudServer);
  cloud.play(says(cloudServer, 'from the cloud'));
  const entries = [localServer.entry(local.upstream.origin), cloudServer.entry(cloud.upstream.origin)];
  const router = await startRouter(t, { yaml: fleetYaml(entries, yaml) });
  await local.upstream.received(1);
  return { router, local, cloud };
}

/** A whole `lfo.yaml`: these backends, short pauses between retries, and what else is given, which wins. */
export function fleetYaml(entries: readonly string[], more = ''): string {
  return [
    ...(more.includes('retry:') ? [] : [shortRetries]),
    more,
    'backends:',
    ...entries.map((entry) => `  - ${entry}`),
    '',
  ].join('\n');
}

/** A question that this backend alone may answer. */
export function hello({ model }: FaultSubject): Record<string, unknown> {
  return asking('Hello', { model });
}

/** Answers well, streamed or whole as the request wants it. */
export function says(subject: FaultSubject, text: string): Script {
  return (exchange) => {
    if (!wantsStream(exchange)) return exchange.json(200, subject.whole(text));
    exchange.head(200, eventStream);
    exchange.finish(subject.text(text) + subject.end);
  };
}

/** The same as `says`, after a pause. */
export function slowly(subject: FaultSubject, ms: number): Script {
  return async (exchange) => {
    await exchange.pause(ms);
    await says(subject, 'slowly')(exchange);
  };
}

/** Streams the text, then does as told with the rest unsaid. */
export function begins(
  subject: FaultSubject,
  text: string,
  then: (exchange: Exchange) => void | Promise<void>,
): Script {
  return async (exchange) => {
    exchange.head(200, eventStream);
    await exchange.write(subject.text(text));
    await exchange.pause(20);
    await then(exchange);
  };
}

function wantsStream({ request }: Exchange): boolean {
  return at(request.json, 'stream') === true || request.path.includes('streamGenerateContent');
}

/** What the client was given as text, of either kind of answer. */
export function textOf(answer: { readonly json: unknown; readonly chunks?: readonly unknown[] }): string {
  const whole = at(answer.json, 'choices', 0, 'message', 'content');
  if (typeof whole === 'string') return whole;
  return saidIn(answer.chunks ?? []);
}

/** Fails unless this is the project's error envelope with nothing in it that is nobody's business. */
export function assertCleanError(body: unknown, code: string, source: 'lfo' | 'upstream' = 'upstream'): void {
  for (const name of ['message', 'type', 'param', 'code']) assert.notEqual(at(body, 'error', name), undefined, name);
  assert.equal(at(body, 'error', 'code'), code);
  assert.equal(at(body, 'error', 'source'), source);
  assert.doesNotMatch(
    JSON.stringify(body),
    /127\.0\.0\.1|key-of-the-operator|upstream-secret|\bat .*\.ts:|node:internal/,
  );
}

/** Fails unless the stream was cut visibly: an error frame, no `stop`, no [DONE]. */
export function assertCut(
  answer: { readonly chunks: readonly unknown[]; readonly isDone: boolean },
  code: string,
): void {
  assertCleanError(answer.chunks.at(-1), code);
  assert.equal(answer.isDone, false);
  assert.ok(
    answer.chunks.every((chunk) => !['stop', 'tool_calls'].includes(String(at(chunk, 'choices', 0, 'finish_reason')))),
  );
}

/** The value and the milliseconds it took. */
export async function timed<T>(work: Promise<T>): Promise<readonly [value: T, ms: number]> {
  const startMs = performance.now();
  return [await work, performance.now() - startMs];
}

/** Waits for what is to come true soon. */
export async function eventually(what: string, isSo: () => boolean, withinMs = 30_000): Promise<void> {
  const giveUpMs = performance.now() + withinMs;
  while (!isSo()) {
    if (performance.now() > giveUpMs) assert.fail(`not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
