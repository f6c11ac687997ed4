import { createCloudTier } from '../../app/cloud-tier.ts';
import type { Backend } from '../../core/backend.ts';
import type { Clock } from '../../core/clock.ts';
import type { LfoConfig } from '../../config/config.ts';
import { BackendError, LfoError } from '../../core/errors.ts';
import { uuidV7Source } from '../../core/id.ts';
import type { ChatRequest } from '../../core/request.ts';
import { broken, passed, type Check } from './check.ts';

/** Longest wait for one answer. */
const answerMs = 60_000;

/**
 * Whether each of these cloud backends answers through the same code that serves requests: its default model in a
 * stream, then a tool call. Two small answers a backend are asked for and paid; no model stands in for another.
 */
export async function checkAnswers(config: LfoConfig, names: ReadonlySet<string>, clock: Clock): Promise<Check[]> {
  const backends = config.backends
    .filter(({ tier, name }) => tier === 'cloud' && names.has(name))
    .map((backend) => Object.assign({}, backend, { fallbackModels: [] }));
  const tier = createCloudTier({ ...config, backends }, { clock, onSentinel: () => undefined });
  try {
    return (await Promise.all(tier.map(({ backend }) => checkBackend(backend, clock)))).flat();
  } finally {
    await Promise.all(tier.map(({ backend }) => backend.close()));
  }
}

async function checkBackend(backend: Backend, clock: Clock): Promise<Check[]> {
  const stream = await attempt(backend, clock, `${backend.id} stream`, question(clock));
  if (!stream.ok) return [stream];
  return [stream, await attempt(backend, clock, `${backend.id} tools`, errand(clock))];
}

async function attempt(backend: Backend, clock: Clock, name: string, request: ChatRequest): Promise<Check> {
  try {
    return await listen(backend, clock, name, request);
  } catch (error) {
    return describe(name, backend, error);
  }
}

async function listen(backend: Backend, clock: Clock, name: string, request: ChatRequest): Promise<Check> {
  const startMs = clock.nowMs();
  let model = backend.models[0] ?? '';
  let firstMs: number | undefined;
  let hasCalled = false;
  const batches = backend.infer(request, {
    signal: AbortSignal.timeout(answerMs),
    clock,
    model,
    wantScores: false,
    warn: () => undefined,
    keepAlive: () => undefined,
  });
  for await (const events of batches) {
    for (const event of events) {
      if (event.type === 'start') model = event.model;
      else firstMs ??= clock.nowMs() - startMs;
      hasCalled ||= event.type === 'tool-call-end';
    }
  }
  const seconds = ((clock.nowMs() - startMs) / 1000).toFixed(1);
  if (request.tools.length === 0)
    return passed(name, `${model} answers, after ${Math.round(firstMs ?? 0)} ms of ${seconds} s`);
  if (hasCalled) return passed(name, `${model} calls a tool, in ${seconds} s`);
  return broken(name, `${model} did not call the tool it had to`, 'choose a model that takes tools');
}

function describe(name: string, backend: Backend, error: unknown): Check {
  const model = backend.models[0] ?? 'its model';
  if (!(error instanceof LfoError)) return broken(name, `${model} did not answer in time`, 'try again later');
  const fix = error instanceof BackendError ? fixes[error.code] : undefined;
  return broken(name, `${model}: ${error.message}`, fix ?? 'try again later');
}

const fixes: Readonly<Record<string, string>> = {
  model_not_found: 'correct GEMINI_MODEL, or models in lfo.yaml',
  upstream_auth: 'correct the key, or its permissions',
  upstream_unreachable: 'check the network and its base_url',
  upstream_bad_answer: 'correct its base_url',
  upstream_rejected: 'correct its base_url and its models',
  rate_limit_exceeded: 'wait, or use another key',
};

function question(clock: Clock): ChatRequest {
  return {
    id: uuidV7Source(clock)(),
    model: 'lfo-cloud',
    messages: [{ role: 'user', content: [{ type: 'text', text: 'Answer with the word "ready".' }] }],
    tools: [],
    sampling: { stop: [], logprobs: false },
    stream: true,
    hints: { mode: 'cloud' },
    bodyBytes: 200,
  };
}

function errand(clock: Clock): ChatRequest {
  const parameters = { type: 'object', properties: { word: { type: 'string' } }, required: ['word'] };
  return {
    ...question(clock),
    messages: [{ role: 'user', content: [{ type: 'text', text: 'Report the word "ready".' }] }],
    tools: [{ name: 'report', description: 'Reports a word.', parameters }],
    toolChoice: { type: 'required' },
  };
}
