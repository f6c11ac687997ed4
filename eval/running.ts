import { test } from 'node:test';
import type { EngineRequest, ScriptedAnswer } from '@lfo/device-core';
import type { InferenceEvent } from '@lfo/router/src/core/events.ts';
import { isJsonObject, type JsonValue, parseJson } from '@lfo/router/src/core/json.ts';
import { textOf, type ChatRequest } from '@lfo/router/src/core/request.ts';
import { modelsDir } from '@lfo/testing/npm-start.ts';
import { startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at, readSse } from '@lfo/testing/sse.ts';
import { eventually, TestDevice } from '@lfo/testing/test-device.ts';
import { answerWith, type OpenaiAnswer } from '@lfo/testing/upstream/openai-answer.ts';
import { areRight } from './bfcl-judge.ts';
import { readCases, readTruths, type EvalCase } from './cases.ts';
import { hashOf } from '@lfo/router/src/confidence/fitting/random.ts';
import { findData } from './reference-data.ts';
import { figure, table } from './report/measures.ts';
import { mean } from './statistics.ts';
import { callsOf, eventsOf, readTraces, recordedTokens, type Trace, type WrittenCall } from './trace-file.ts';

// The running router on recorded answers: a paired device plays them with their token times, a scripted cloud is right on
// a stated share: `npm run eval:run -- [answers]`, times a twentieth of the recorded ones. `npm run eval:run -- live` asks
// the default model itself, 20 cases of every kind in turn, beside a cloud that takes 700 ms.

/** Recorded times divided by this. */
const haste = 20;
const cloudFirstMs = 700 / haste;
const shareRight = 0.9;
const atOnce = 2;

interface Played {
  readonly one: EvalCase;
  readonly trace: Trace;
  readonly truth: readonly JsonValue[] | undefined;
}

interface Answered {
  readonly id: string;
  readonly isRight: boolean;
  readonly wasLocalRight: boolean;
  readonly isCloudRight: boolean;
  readonly route: string;
  readonly isEscalated: boolean;
  readonly localMs: number;
  readonly cloudMs: number;
  readonly firstMs: number;
  readonly totalMs: number;
}

const isLive = process.argv.at(-1) === 'live';

test('the running router with the default model', { timeout: 3_600_000, skip: !isLive }, async (t) => {
  const data = findData();
  if (data === undefined) return t.skip('the reference data is not here');
  const played = playedOf(data).filter(({ one }) => liveCategories.includes(one.category));
  const chosen = liveCategories.flatMap((category) =>
    played.filter(({ one }) => one.category === category).slice(0, 20 / liveCategories.length),
  );
  const byQuestion = new Map(chosen.map((each) => [questionOf(each.one.request), each]));
  const cloud = await ScriptedUpstream.start();
  t.after(() => cloud.close());
  cloud.always(async (exchange) => {
    const found = byQuestion.get(lastUser(exchange.request.json));
    await exchange.pause(700);
    const isRight = found !== undefined && isCloudRight(found.one.id);
    return answerWith(found === undefined ? { deltas: ['?'] } : cloudAnswer(found, isRight))(exchange);
  });
  const yaml = `backends:
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big] }
`;
  const model = 'qwen2.5-coder-0.5b';
  const env = { LFO_LOCAL_MODEL: model, LFO_MODELS_DIR: modelsDir, LFO_LOG_LEVEL: 'warn' };
  const router = await startRouter(t, { yaml, env });
  await router.ready;
  const localRight = new Set<string>();
  const rows: (readonly string[])[] = [];
  const run = async (name: string, body: Readonly<Record<string, unknown>>): Promise<void> => {
    // As many as were recorded: a small model may repeat itself until its context is full.
    const limited = { max_tokens: recordedTokens, ...body };
    const answers = await askAll(router, chosen, limited, { atOnce: 1, isCloudRight });
    if (rows.length === 0) for (const { id, isRight } of answers) if (isRight) localRight.add(id);
    rows.push([name, ...measures(answers.map((one) => ({ ...one, wasLocalRight: localRight.has(one.id) })))]);
    console.log(rows.at(-1)?.join(' | '));
  };
  await run('all local', { model: 'lfo-local' });
  await run('all cloud', { model: 'lfo-cloud' });
  await run('auto, threshold .7 as shipped', {});
  await run('auto, threshold .5', { metadata: { confidence_threshold: '0.5' } });
  console.log(table([`${chosen.length} requests to ${model}`, ...columns], rows));
});

/** Kinds of cases that the live run asks in equal numbers. */
const liveCategories = ['simple_python', 'multiple', 'parallel', 'parallel_multiple', 'irrelevance'];

const columns = [
  'cloud share',
  'right',
  'rescue',
  'harm',
  'right of what stayed',
  'WLR',
  'first token p50 / p95 ms',
  'total p50 ms',
];

/** Cases that an answer was recorded for, in an order by hash. */
function playedOf(data: URL): readonly Played[] {
  const cases = readCases(new URL('bfcl/', data));
  const truths = readTruths(new URL('bfcl/', data));
  return readTraces(new URL('traces/bfcl-qwen2.5-coder-0.5b.jsonl.gz', data))
    .toSorted((a, b) => hashOf(`run ${a.id}`) - hashOf(`run ${b.id}`))
    .flatMap((trace): Played[] => {
      const one = cases.get(trace.id);
      return one === undefined ? [] : [{ one, trace, truth: truths.get(trace.id) }];
    });
}

test('the running router on recorded answers', { timeout: 3_600_000, skip: isLive }, async (t) => {
  const data = findData();
  if (data === undefined) return t.skip('the reference data is not here');
  const count = Number(process.argv.at(-1)) || 400;
  const played = playedOf(data).slice(0, count);
  const byQuestion = new Map(played.map((each) => [questionOf(each.one.request), each]));
  let alwaysRight = false;
  const cloud = await ScriptedUpstream.start();
  t.after(() => cloud.close());
  cloud.always(async (exchange) => {
    const found = byQuestion.get(lastUser(exchange.request.json));
    const isRight = found !== undefined && (alwaysRight || isCloudRight(found.one.id));
    await exchange.pause(cloudFirstMs);
    return answerWith(found === undefined ? { deltas: ['?'] } : cloudAnswer(found, isRight))(exchange);
  });
  const yaml = `backends:
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big] }
`;
  const router = await startRouter(t, { yaml, env: { LFO_FLEET_LISTEN: '127.0.0.1:0', LFO_LOG_LEVEL: 'warn' } });
  const device = new TestDevice(t, {
    model: 'qwen2.5-coder-0.5b',
    slots: atOnce,
    answer: (request) => localAnswer(byQuestion.get(askedOf(request))),
  });
  await pair(router, device);

  const rows: (readonly string[])[] = [];
  const run = async (name: string, body: Readonly<Record<string, unknown>>): Promise<void> => {
    const cloudRight = (id: string): boolean => alwaysRight || isCloudRight(id);
    const answers = await askAll(router, played, body, { atOnce, isCloudRight: cloudRight });
    rows.push([name, ...measures(answers)]);
    console.log(rows.at(-1)?.join(' | '));
  };
  await run('all local', { model: 'lfo-local' });
  await run('all cloud', { model: 'lfo-cloud' });
  await run('auto, threshold .7 as shipped', {});
  await run('auto, threshold .5', { metadata: { confidence_threshold: '0.5' } });
  await run('auto, threshold 0 (structure alone)', { metadata: { confidence_threshold: '0' } });
  await router.request('PATCH', '/admin/settings/routing.goal.cloud_share', { value: 0.4 });
  await run('auto, goal cloud_share .4', {});
  await router.request('DELETE', '/admin/settings/routing.goal.cloud_share');
  alwaysRight = true;
  await run('auto, threshold .7, the cloud always right', {});
  console.log(table([`${played.length} recorded answers`, ...columns], rows));
});

async function askAll(
  router: TestRouter,
  played: readonly Played[],
  body: Readonly<Record<string, unknown>>,
  { atOnce, isCloudRight }: { readonly atOnce: number; readonly isCloudRight: (id: string) => boolean },
): Promise<readonly Answered[]> {
  const left = [...played];
  const answers: Answered[] = [];
  const work = async (): Promise<void> => {
    for (let next = left.shift(); next !== undefined; next = left.shift())
      answers.push(await ask(router, next, body, isCloudRight));
  };
  await Promise.all(Array.from({ length: atOnce }, work));
  return answers;
}

async function ask(
  router: TestRouter,
  { one, trace, truth }: Played,
  body: Readonly<Record<string, unknown>>,
  cloudRight: (id: string) => boolean,
): Promise<Answered> {
  const { request } = one;
  const { chunks, firstMs, totalMs } = await streamed(router, { ...chatBody(request), ...body, stream: true });
  const meta = chunks.map((chunk) => at(chunk, 'lfo_metadata')).findLast((found) => found !== undefined);
  const attempts = at(meta, 'attempts');
  const list: readonly unknown[] = Array.isArray(attempts) ? attempts : [];
  const timeOf = (tier: string): number =>
    list.reduce<number>((sum, each) => sum + (at(each, 'tier') === tier ? Number(at(each, 'latency_ms')) : 0), 0);
  const route = String(at(meta, 'route'));
  const localMs = timeOf('local');
  return {
    id: one.id,
    isRight: areRight(callsIn(chunks), truth, request.tools),
    wasLocalRight: areRight(callsOfTrace(trace, request), truth, request.tools),
    isCloudRight: cloudRight(one.id),
    route,
    isEscalated: list.some((each) => at(each, 'outcome') === 'escalated'),
    localMs,
    cloudMs: timeOf('cloud'),
    firstMs,
    totalMs,
  };
}

/** Asks and notes when the first byte of the answer itself came. */
async function streamed(router: TestRouter, body: object) {
  const started = performance.now();
  const response = await fetch(`${router.app.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
  const decoder = new TextDecoder();
  let text = '';
  let firstMs: number | undefined;
  for await (const chunk of response.body ?? []) {
    text += decoder.decode(chunk, { stream: true });
    if (/"content":"[^"]|"tool_calls":\[/.test(text)) firstMs ??= performance.now() - started;
  }
  const totalMs = performance.now() - started;
  return { chunks: readSse(text).chunks, firstMs: firstMs ?? totalMs, totalMs };
}

function measures(answers: readonly Answered[]): readonly string[] {
  const escalated = answers.filter(({ isEscalated }) => isEscalated);
  const stayed = answers.filter(({ route }) => route === 'local');
  const share = (list: readonly Answered[], holds: (answer: Answered) => boolean): string =>
    list.length === 0 ? '–' : figure(mean(list.map((answer) => Number(holds(answer)))), 3);
  const sum = (list: readonly Answered[]): number => list.reduce((total, { localMs }) => total + localMs, 0);
  const sorted = answers.map(({ firstMs }) => firstMs).toSorted((a, b) => a - b);
  const totals = answers.map(({ totalMs }) => totalMs).toSorted((a, b) => a - b);
  const quantile = (list: readonly number[], share_: number): string =>
    String(Math.round(list[Math.floor(share_ * (list.length - 1))] ?? 0));
  return [
    share(answers, ({ route }) => route === 'cloud'),
    share(answers, ({ isRight }) => isRight),
    share(escalated, ({ isCloudRight }) => isCloudRight),
    share(escalated, ({ wasLocalRight, isCloudRight }) => wasLocalRight && !isCloudRight),
    share(stayed, ({ isRight }) => isRight),
    sum(answers) === 0 ? '–' : figure(sum(escalated) / sum(answers), 2),
    `${quantile(sorted, 0.5)} / ${quantile(sorted, 0.95)}`,
    quantile(totals, 0.5),
  ];
}

function isCloudRight(id: string): boolean {
  return hashOf(`cloud ${id}`) % 1_000 < shareRight * 1_000;
}

/** The first accepted values of the truth, or something that is wrong for sure. */
function cloudAnswer({ one, truth }: Played, isRight: boolean): OpenaiAnswer {
  if (truth === undefined) {
    if (isRight) return { deltas: ['None of the tools fits.'] };
    const [tool] = one.request.tools;
    return { deltas: [], toolCalls: [{ id: 'call_c0', name: tool?.name ?? 'none', argumentDeltas: ['{}'] }] };
  }
  if (!isRight) return { deltas: ['I cannot do that.'] };
  const calls = truth.flatMap((expected) => (isJsonObject(expected) ? Object.entries(expected) : []));
  return {
    deltas: [],
    toolCalls: calls.map(([name, given], index) => ({
      id: `call_c${index}`,
      name: name.replaceAll('.', '_'),
      argumentDeltas: [JSON.stringify(firstValues(given))],
    })),
  };
}

function firstValues(given: JsonValue): JsonValue {
  if (!isJsonObject(given)) return {};
  return Object.fromEntries(
    Object.entries(given).flatMap(([name, accepted]) => {
      const values = Array.isArray(accepted) ? accepted : [accepted];
      // An empty text stands for an argument that may be left out.
      if (values.includes('')) return [];
      const [value] = values;
      return [[name, isJsonObject(value) ? firstValues(value) : (value ?? null)] as const];
    }),
  );
}

function localAnswer(found: Played | undefined): ScriptedAnswer {
  if (found === undefined) return { parts: [{ k: 'text', text: '?' }] };
  const { trace, one } = found;
  const events = eventsOf(trace, one.request.tools);
  const parts = events.flatMap((event) => partOf(event) ?? []);
  return {
    parts,
    prefillMs: trace.prefillMs / haste,
    partMs: trace.decodeMs / haste / Math.max(1, parts.length),
    done: { finishReason: finishOf(events) },
  };
}

function finishOf(events: readonly InferenceEvent[]): 'stop' | 'length' | 'tool_calls' {
  const last = events.at(-1);
  return last?.type === 'finish' && last.reason !== 'content_filter' ? last.reason : 'stop';
}

function partOf(event: InferenceEvent): ScriptedAnswer['parts'][number] | undefined {
  switch (event.type) {
    case 'text-delta':
      return { k: 'text', text: event.text };
    case 'tool-call-start':
      return { k: 'call', index: event.index, id: event.id, name: event.name };
    case 'tool-call-delta':
      return { k: 'args', index: event.index, json: event.json };
    case 'tool-call-end':
      return { k: 'call_end', index: event.index };
    case 'token-scores':
      return {
        k: 'scores',
        of: event.about === 'tool-call' ? 'call' : 'text',
        taken: 'raw',
        scores: event.scores.map(({ token, logprob }) => ({ token, lp: logprob })),
      };
    default:
      return undefined;
  }
}

async function pair(router: TestRouter, device: TestDevice): Promise<void> {
  const { json } = await router.request('POST', '/admin/devices/pairings', {});
  await device.pair(String(at(json, 'uri')));
  await eventually(async () => {
    const shown = await router.request('GET', '/admin/devices');
    return at(shown.json, 'devices', 0, 'state') === 'ready' ? true : undefined;
  }, 'the device');
}

function chatBody({ messages, tools }: ChatRequest): Record<string, unknown> {
  return {
    messages: messages.map((message) => ({ role: message.role, content: textOf(message) })),
    tools: tools.map((tool) => ({ type: 'function', function: tool })),
  };
}

function questionOf({ messages }: ChatRequest): string {
  const last = messages.findLast(({ role }) => role === 'user');
  return last === undefined ? '' : textOf(last);
}

function askedOf({ messages }: EngineRequest): string {
  return lastUser({ messages });
}

function lastUser(body: unknown): string {
  const messages = at(body, 'messages');
  const list: readonly unknown[] = Array.isArray(messages) ? messages : [];
  const content = at(
    list.findLast((message) => at(message, 'role') === 'user'),
    'content',
  );
  if (typeof content === 'string') return content;
  const parts: readonly unknown[] = Array.isArray(content) ? content : [];
  return parts
    .map((part) => at(part, 'text'))
    .filter((text) => typeof text === 'string')
    .join('');
}

function callsIn(chunks: readonly unknown[]): readonly WrittenCall[] {
  const calls = new Map<number, { name: string; json: string }>();
  for (const chunk of chunks) {
    const deltas = at(chunk, 'choices', 0, 'delta', 'tool_calls');
    const list: readonly unknown[] = Array.isArray(deltas) ? deltas : [];
    for (const delta of list) {
      const index = Number(at(delta, 'index'));
      const call = calls.get(index) ?? { name: '', json: '' };
      const [name, json] = [at(delta, 'function', 'name'), at(delta, 'function', 'arguments')];
      calls.set(index, {
        name: call.name + (typeof name === 'string' ? name : ''),
        json: call.json + (typeof json === 'string' ? json : ''),
      });
    }
  }
  return [...calls.values()].map(({ name, json }) => {
    const value = json === '' ? {} : parseJson(json);
    return { name, arguments: isJsonObject(value) ? value : undefined };
  });
}

function callsOfTrace(trace: Trace, request: ChatRequest): readonly WrittenCall[] {
  return callsOf(eventsOf(trace, request.tools));
}
