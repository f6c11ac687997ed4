import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { TestContext } from 'node:test';
import type { RecordGapRow, RequestRow } from '@lfo/router/src/records/tables.ts';
import { SqliteStore } from '@lfo/router/src/records/store/sqlite-store.ts';
import { startRouter, type TestRouter, type TestRouterOptions } from './router.ts';
import { ScriptedUpstream } from './scripted-upstream.ts';
import { at } from './sse.ts';
import type { Exchange, Script } from './upstream/exchange.ts';
import { answerWith, type OpenaiAnswer } from './upstream/openai-answer.ts';

export interface SceneOptions extends TestRouterOptions {
  /** On record before the router starts. */
  readonly rows?: readonly RequestRow[];
  readonly gaps?: readonly RecordGapRow[];
  /** Models of the local server; the first is its default. */
  readonly localModels?: readonly string[];
  readonly localName?: string;
  /** The local server makes vectors too. */
  readonly embeds?: boolean;
}

/** A whole router between a local model server and a cloud, both played on loopback. */
export interface Scene {
  readonly router: TestRouter;
  readonly url: string;
  /** Asks one of the scene's questions, or anything else, which is answered with itself. The request's id. */
  readonly ask: (question: string, more?: Asked) => Promise<string>;
  /** Resolves once this many requests are on record. */
  readonly recorded: (count: number) => Promise<void>;
  /** Starts the router again at the same address, with the same data; call once it was closed. */
  readonly restart: () => Promise<TestRouter>;
}

interface Asked {
  readonly mode?: 'auto' | 'local' | 'cloud';
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: Readonly<Record<string, unknown>>;
}

interface Line {
  readonly local: Script;
  readonly cloud: Script;
}

/** Questions with a fate: what each tier says to them. */
export const questions = {
  /** Answered locally, with a high score. */
  easy: 'What is 2 + 2?',
  /** The local answer scores low; the cloud knows. */
  hard: 'What is the capital of Australia?',
  /** The local server fails; the cloud stands in. */
  unlucky: 'Which planets have rings?',
  /** Both tiers fail. */
  hopeless: 'What did I have for breakfast?',
  /** Answered by a tool call, locally. */
  weather: 'What is the weather in Bern?',
  /** Answered locally, a word at a time, for two seconds. */
  long: 'Tell me a long story.',
  /** The local answer begins well and is condemned after some words; both tiers write so slowly that one can watch. */
  slow: 'Who wrote The Glass Bead Game, and when?',
} as const;

const broken: Script = (exchange) => exchange.json(500, { error: { message: 'out of memory' } });

const lines: ReadonlyMap<string, Line> = new Map([
  [questions.easy, { local: said('2 + 2 equals 4.', -0.04), cloud: said('4') }],
  [
    questions.hard,
    { local: said('The capital is Sydney.', -1.4), cloud: said('The capital of Australia is Canberra.') },
  ],
  [questions.unlucky, { local: broken, cloud: said('Jupiter, Saturn, Uranus and Neptune.') }],
  [questions.hopeless, { local: broken, cloud: broken }],
  [questions.weather, { local: answerWith(weatherCall()), cloud: answerWith(weatherCall()) }],
  [
    questions.slow,
    {
      local: wavering(),
      cloud: answerWith({
        ...worded('Hermann Hesse wrote it; it was published in Zürich in 1943.'),
        paceMs: 140,
      }),
    },
  ],
  [questions.long, { local: answerWith({ ...worded('word '.repeat(80), -0.05), paceMs: 25 }), cloud: said('No.') }],
]);

/** Written surely at first, and by guess from where it matters. */
function wavering(): Script {
  const text = 'The Glass Bead Game was written by Thomas Mann and published in 1924.';
  const answer = worded(text, -0.02);
  return answerWith({ ...answer, logprobs: answer.deltas.map((_, index) => (index < 7 ? -0.03 : -2.2)), paceMs: 220 });
}

/** The tool that the question about the weather is asked with. */
export const weatherTool = {
  type: 'function',
  function: {
    name: 'get_weather',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
} as const;

/** Starts one; gone with its test. */
export async function startScene(t: TestContext, options: SceneOptions = {}): Promise<Scene> {
  const {
    rows = [],
    gaps = [],
    localModels = ['qwen3:4b'],
    localName = 'ollama',
    embeds = false,
    yaml = '',
    env = {},
    ...rest
  } = options;
  const local = await ScriptedUpstream.start(tier('local', localModels));
  const cloud = await ScriptedUpstream.start(tier('cloud', ['gemini-2.5-flash']));
  t.after(() => Promise.all([local.close(), cloud.close()]));
  const dataDir = mkdtempSync(join(tmpdir(), 'lfo-scene-'));
  t.after(() => rmSync(dataDir, { recursive: true, force: true }));
  if (rows.length > 0) await record(dataDir, rows, gaps);
  const backends = [
    {
      name: localName,
      kind: 'openai-compatible',
      tier: 'local',
      base_url: `${local.origin}/v1`,
      models: localModels,
      ...(embeds && { embedding_models: ['minilm'] }),
    },
    {
      name: 'gemini',
      kind: 'openai-compatible',
      tier: 'cloud',
      base_url: `${cloud.origin}/v1`,
      models: ['gemini-2.5-flash'],
    },
  ];
  const started = { ...rest, yaml: `backends: ${JSON.stringify(backends)}\n${yaml}` };
  const router = await startRouter(t, { ...started, env: { LFO_DATA_DIR: dataDir, ...env } });
  const { url } = router.app;
  const ask: Scene['ask'] = async (question, { mode = 'auto', headers = {}, body = {} } = {}) => {
    const messages = [{ role: 'user', content: question }];
    const answer = await router.chat({ messages, ...body }, { 'x-lfo-mode': mode, ...headers });
    return String(answer.headers['x-request-id']);
  };
  const recorded: Scene['recorded'] = async (count) => {
    const sinceMs = performance.now();
    for (;;) {
      const { json } = await router.request('GET', `/dashboard/api/requests?limit=${count}`);
      const requests = at(json, 'requests');
      if (Array.isArray(requests) && requests.length === count) return;
      if (performance.now() - sinceMs > recordedWithinMs) throw new Error(`${count} requests were never on record.`);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  };
  const restart: Scene['restart'] = () =>
    startRouter(t, { ...started, env: { LFO_DATA_DIR: dataDir, ...env, PORT: new URL(url).port } });
  return { router, url, ask, recorded, restart };
}

const recordedWithinMs = 15_000;

async function record(dataDir: string, rows: readonly RequestRow[], gaps: readonly RecordGapRow[]): Promise<void> {
  const store = new SqliteStore(join(dataDir, 'lfo.db'));
  await store.append('requests', rows);
  await store.append('record_gaps', gaps);
  await store.close();
}

function tier(name: keyof Line, models: readonly string[]): Script {
  return (exchange) => {
    if (exchange.request.method === 'GET') {
      const data = models.map((id) => ({ id, object: 'model', created: 0, owned_by: 'test', context_length: 32_768 }));
      return exchange.json(200, { object: 'list', data });
    }
    if (exchange.request.path.endsWith('/embeddings')) return vector(exchange);
    const question = questionOf(exchange);
    return (lines.get(question)?.[name] ?? said(question, -0.05))(exchange);
  };
}

const vector: Script = (exchange) =>
  exchange.json(200, {
    object: 'list',
    model: 'minilm',
    data: [{ object: 'embedding', index: 0, embedding: [0.6, 0.8] }],
    usage: { prompt_tokens: 5, total_tokens: 5 },
  });

function questionOf({ request }: Exchange): string {
  const messages = at(request.json, 'messages');
  const content = Array.isArray(messages)
    ? at(
        messages.findLast((message) => at(message, 'role') === 'user'),
        'content',
      )
    : '';
  return typeof content === 'string' ? content : String(at(content, 0, 'text'));
}

function said(text: string, logprob?: number): Script {
  return answerWith(worded(text, logprob));
}

function worded(text: string, logprob?: number): OpenaiAnswer {
  const deltas = text.match(/\S+\s*|\s+/g) ?? [];
  const usage = { prompt_tokens: 14, completion_tokens: deltas.length, total_tokens: 14 + deltas.length };
  return { deltas, usage, ...(logprob !== undefined && { logprobs: deltas.map(() => logprob) }) };
}

function weatherCall(): OpenaiAnswer {
  return {
    deltas: [],
    toolCalls: [{ id: 'call_1', name: 'get_weather', argumentDeltas: ['{"city":', '"Bern"}'] }],
  };
}
