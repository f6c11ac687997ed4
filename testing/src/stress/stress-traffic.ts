import { parseJson } from '@lfo/router/src/core/json.ts';
import { Agent, request } from 'undici';

import { at, readSse } from '../sse.ts';
import { partsOfAnswer, promptOf } from './stress-upstream.ts';

const kinds = ['whole', 'stream', 'tools', 'json', 'departure', 'bad', 'explain', 'list'] as const;
type Kind = (typeof kinds)[number];
const modes = ['auto', 'local', 'cloud'] as const;

/** A key and whether it should still be good. */
export interface StressKey {
  readonly value: string;
  /** When the revocation was told to LFO, by `performance.now()`. */
  revokedMs?: number;
}

/** What clients have seen. */
export interface TrafficReport {
  /** By kind and outcome. */
  readonly counts: ReadonlyMap<string, number>;
  /** Ids of chats that were answered whole, with 200. */
  readonly answered: string[];
  /** What no client should ever see, a sentence each. */
  readonly wrong: string[];
}

/** Keys that were revoked are dead after a second; a busy machine has five. */
const revokedMs = 5_000;
const tool = {
  type: 'function',
  function: { name: 'look_up', parameters: { type: 'object', properties: { word: { type: 'string' } } } },
};
const badBodies = [
  '{"messages": [',
  '[]',
  '{"messages": null}',
  '{"messages": [{"role": 3, "content": "x"}]}',
  '{"messages": [{"role": "user", "content": "x"}], "metadata": {"mode": "Local"}}',
  '{"messages": [{"role": "user", "content": "x"}], "max_tokens": 1e300}',
  `{"messages": ${'['.repeat(300)}${']'.repeat(300)}}`,
];

/** Many clients that ask for everything, until they are stopped. */
export class StressTraffic {
  readonly #url: string;
  readonly #keys: () => readonly StressKey[];
  readonly #agent = new Agent({ connections: 64, headersTimeout: 0, bodyTimeout: 0 });
  readonly #over = new AbortController();
  readonly #clients: Promise<unknown>;
  readonly #counts = new Map<string, number>();
  readonly #answered: string[] = [];
  readonly #wrong = new Set<string>();
  #asked = 0;

  constructor(url: string, keys: () => readonly StressKey[], clients: number) {
    this.#url = url;
    this.#keys = keys;
    this.#clients = Promise.all(Array.from({ length: clients }, () => this.#client()));
  }

  /** Resolves when every client has its last answer. */
  async stop(): Promise<TrafficReport> {
    this.#over.abort();
    await this.#clients;
    await this.#agent.close();
    return { counts: this.#counts, answered: this.#answered, wrong: [...this.#wrong] };
  }

  async #client(): Promise<void> {
    while (!this.#over.signal.aborted) {
      await this.#ask(oneOf(kinds), oneOf(modes));
      await new Promise((resolve) => setTimeout(resolve, 50 + Math.random() * 150));
    }
  }

  async #ask(kind: Kind, mode: (typeof modes)[number]): Promise<void> {
    const word = `w${++this.#asked}`;
    const key = oneOf(this.#keys());
    const leaving = new AbortController();
    const leave = kind === 'departure' ? setTimeout(() => leaving.abort(), Math.random() * 300) : undefined;
    const isDead = key.revokedMs !== undefined && performance.now() - key.revokedMs > revokedMs;
    const path = kind === 'list' ? '/v1/models' : kind === 'explain' ? '/v1/route' : '/v1/chat/completions';
    const body = kind === 'list' ? null : bodyOf(kind, mode, word);
    try {
      const response = await request(`${this.#url}${path}`, {
        method: kind === 'list' ? 'GET' : 'POST',
        dispatcher: this.#agent,
        headers: {
          authorization: `Bearer ${key.value}`,
          ...(body !== null && { 'content-type': 'application/json' }),
          ...(Math.random() < 0.1 && { 'x-lfo-deadline-ms': '500' }),
        },
        body,
        signal: leaving.signal,
      });
      const text = await response.body.text();
      const { statusCode: status, headers } = response;
      this.#count(`${kind} ${status}`);
      const fault = isDead && status !== 401 ? 'a revoked key was let in' : faultOf({ kind, status, text, word, mode });
      if (fault !== undefined) this.#wrong.add(`${kind} ${mode} ${status}: ${fault}: ${text.slice(-300)}`);
      const isChat = path.endsWith('completions');
      if (isChat && status === 200) this.#answered.push(String(headers['x-request-id']));
    } catch (error) {
      if (leaving.signal.aborted) this.#count('departure left');
      else this.#wrong.add(`${kind}: ${String(error)}`);
    } finally {
      clearTimeout(leave);
    }
  }

  #count(what: string): void {
    this.#counts.set(what, (this.#counts.get(what) ?? 0) + 1);
  }
}

function oneOf<T>(list: readonly T[]): T {
  const found = list[Math.floor(Math.random() * list.length)];
  if (found === undefined) throw new Error('The list is empty.');
  return found;
}

function bodyOf(kind: Kind, mode: string, word: string): string {
  if (kind === 'bad') return oneOf(badBodies);
  const stream = kind === 'stream' || (kind !== 'whole' && kind !== 'explain' && Math.random() < 0.5);
  return JSON.stringify({
    messages: [{ role: 'user', content: promptOf(kind, word, mode) }],
    metadata: { mode },
    stream,
    ...(kind === 'tools' && { tools: [tool] }),
    ...(kind === 'json' && { response_format: { type: 'json_object' } }),
  });
}

/** One answer, and what had been asked. */
export interface Asked {
  readonly kind: Kind;
  readonly mode: string;
  /** The word that its answer is made of. */
  readonly word: string;
  readonly status: number;
  readonly text: string;
}

/** What is wrong with an answer; a refusal is right where the backends have trouble, another's words never. */
export function faultOf({ kind, status, text, word, mode }: Asked): string | undefined {
  if (status !== 200) return faultOfRefusal(kind, status, text);
  if (kind === 'bad') return 'it was answered';
  if (kind === 'list') return at(parseJson(text), 'data', 0, 'id') === undefined ? 'no models' : undefined;
  if (kind === 'explain') return at(parseJson(text), 'route') === undefined ? 'no route' : undefined;
  if (!text.startsWith('{')) return faultOfStream(text, word, mode);
  const answer = parseJson(text);
  if (mode === 'local' && at(answer, 'lfo_metadata', 'route') !== 'local') return 'it was not local';
  const calls = at(answer, 'choices', 0, 'message', 'tool_calls', 0, 'function', 'arguments');
  if (typeof calls === 'string') return at(parseJson(calls), 'word') === word ? undefined : "another's call";
  const content = at(answer, 'choices', 0, 'message', 'content');
  if (typeof content !== 'string') return 'neither text nor call';
  return isOwn(content, word, true) ? undefined : "another's words";
}

function faultOfRefusal(kind: Kind, status: number, text: string): string | undefined {
  const body = parseJson(text);
  for (const name of ['message', 'type', 'param', 'code']) {
    if (at(body, 'error', name) === undefined) return `no ${name} in the envelope`;
  }
  const expected = kind === 'bad' ? [400, 401, 503] : [401, 429, 502, 503, 504];
  // Gemini's own 500 is handed on; one of LFO's own never is right.
  if (status === 500 && at(body, 'error', 'source') === 'upstream') return undefined;
  return expected.includes(status) ? undefined : 'unexpected status';
}

function faultOfStream(text: string, word: string, mode: string): string | undefined {
  let chunks: readonly unknown[];
  let isDone: boolean;
  try {
    ({ chunks, isDone } = readSse(text));
  } catch (error) {
    return String(error);
  }
  const error = at(chunks.at(-1), 'error', 'code');
  if (isDone === (error !== undefined)) return isDone ? 'an error and an end' : 'neither end nor error';
  const route = chunks.map((chunk) => at(chunk, 'lfo_metadata', 'route')).find((value) => value !== undefined);
  if (mode === 'local' && route !== undefined && route !== 'local') return 'it was not local';
  const finishes = chunks.map((chunk) => at(chunk, 'choices', 0, 'finish_reason')).filter(Boolean);
  if (isDone ? finishes.length !== 1 : finishes.includes('stop') || finishes.includes('tool_calls'))
    return 'its end is not one';
  const deltas = chunks.map((chunk) => at(chunk, 'choices', 0, 'delta'));
  const textAt = (...path: readonly (string | number)[]): string =>
    deltas
      .map((delta) => at(delta, ...path))
      .filter((part) => typeof part === 'string')
      .join('');
  const call = textAt('tool_calls', 0, 'function', 'arguments');
  if (call !== '') return !isDone || at(parseJson(call), 'word') === word ? undefined : "another's call";
  const said = textAt('content');
  return isOwn(said, word, isDone) ? undefined : `another's words, ${JSON.stringify(said)} for ${word}`;
}

/** Whether these are the words that were asked for; the scripted model on this machine counts instead. */
function isOwn(said: string, word: string, isWhole: boolean): boolean {
  if (said.includes('{')) return !isWhole || at(parseJson(said), 'word') === word;
  if (/^[\d ]*$/.test(said)) {
    const counted = said.trim().split(' ');
    return said === '' ? !isWhole : counted.every((part, index) => part === String(index) || !isWhole);
  }
  const whole = `${word} `.repeat(partsOfAnswer);
  return isWhole ? said === whole : whole.startsWith(said);
}
