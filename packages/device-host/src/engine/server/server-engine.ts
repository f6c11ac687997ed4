import { EngineError, type Engine, type EngineOptions, type LoadedModel, type ModelFile } from '@lfo/device-core';
import { request } from 'undici';
import * as z from 'zod';
import { ServerModel, type ServerAddress } from './server-model.ts';

const lookMs = 10_000;
/** The first answer loads the model into the server's memory. */
const loadMs = 600_000;

const modelList = z.looseObject({ data: z.array(z.looseObject({ id: z.string() })) });
/** What llama-server tells of itself. */
const properties = z.looseObject({
  total_slots: z.int().positive().optional().catch(undefined),
  default_generation_settings: z.looseObject({ n_ctx: z.int().positive().optional().catch(undefined) }).catch({}),
});
const firstAnswer = z.looseObject({
  choices: z.tuple([z.looseObject({ logprobs: z.unknown().optional() })], z.unknown()),
});

/** Serves a model of that server as if it were in this process. The model named `''` is the first that the server has. */
export function serverEngine(server: ServerAddress): Engine {
  return {
    name: 'openai-compatible',
    version: '1',
    async load(wanted: ModelFile, options: EngineOptions, onProgress, signal): Promise<LoadedModel> {
      const id = chosen(await modelsOf(server, signal), wanted.id, server.baseUrl);
      onProgress(0, 1);
      const hasScores = await loads(server, id, signal);
      onProgress(1, 1);
      const { total_slots: slots, default_generation_settings: settings } = await propertiesOf(server, signal);
      const contextTokens = settings.n_ctx === undefined ? options.contextTokens : settings.n_ctx;
      return new ServerModel(server, {
        id,
        contextTokens,
        hasScores,
        slots: Math.min(options.slots, slots ?? Infinity),
      });
    },
    async close() {},
  };
}

async function modelsOf(server: ServerAddress, signal: AbortSignal): Promise<readonly string[]> {
  const { status, body } = await ask(server, 'GET', `${server.baseUrl}/models`, undefined, lookMs, signal);
  const { data } = modelList.safeParse(body);
  if (status === 200 && data !== undefined) return data.data.map(({ id }) => id);
  throw new EngineError(
    'no_model',
    `${server.baseUrl} is no OpenAI-compatible server (GET /models answered ${status}): end the address in /v1.`,
    true,
  );
}

function chosen(models: readonly string[], wanted: string, baseUrl: string): string {
  const [first] = models;
  if (first === undefined) {
    throw new EngineError('no_model', `The server at ${baseUrl} has no model: load or pull one there.`, true);
  }
  if (wanted === '') return first;
  // Ollama lists its models with a tag and takes them without.
  const found = models.find((id) => id === wanted) ?? models.find((id) => id.startsWith(`${wanted}:`));
  if (found !== undefined) return found;
  const some = models.slice(0, 5).join(', ');
  throw new EngineError('no_model', `The server at ${baseUrl} has no model ${wanted}: it has ${some}.`, true);
}

/** Has the model answer one token, which brings it into memory; answers whether the server scores tokens. */
async function loads(server: ServerAddress, model: string, signal: AbortSignal): Promise<boolean> {
  const question = { model, messages: [{ role: 'user', content: 'Hi' }], max_tokens: 1, temperature: 0 };
  const url = `${server.baseUrl}/chat/completions`;
  const scored = await ask(server, 'POST', url, { ...question, logprobs: true, top_logprobs: 1 }, loadMs, signal);
  const { data } = firstAnswer.safeParse(scored.body);
  if (scored.status === 200 && data !== undefined) {
    const [{ logprobs }] = data.choices;
    return logprobs !== null && logprobs !== undefined;
  }
  // Some refuse what they do not know.
  const plain = await ask(server, 'POST', url, question, loadMs, signal);
  if (plain.status === 200) return false;
  throw new EngineError(
    'no_model',
    `The server at ${server.baseUrl} cannot answer with ${model} (${plain.status}).`,
    true,
  );
}

async function propertiesOf(server: ServerAddress, signal: AbortSignal): Promise<z.infer<typeof properties>> {
  const url = new URL('/props', server.baseUrl).href;
  const { status, body } = await ask(server, 'GET', url, undefined, lookMs, signal);
  const { data } = properties.safeParse(status === 200 ? body : {});
  return data ?? { default_generation_settings: {} };
}

async function ask(
  { baseUrl }: ServerAddress,
  method: 'GET' | 'POST',
  url: string,
  json: object | undefined,
  limitMs: number,
  signal: AbortSignal,
): Promise<{ readonly status: number; readonly body: unknown }> {
  try {
    const { statusCode, body } = await request(url, {
      method,
      ...(json === undefined ? {} : { headers: { 'content-type': 'application/json' }, body: JSON.stringify(json) }),
      headersTimeout: limitMs,
      bodyTimeout: limitMs,
      signal,
    });
    const text = await body.text();
    return { status: statusCode, body: parsed(text) };
  } catch (error) {
    signal.throwIfAborted();
    throw new EngineError('no_model', `No server answers at ${baseUrl}: start it, or correct --engine.`, true, {
      cause: error,
    });
  }
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
