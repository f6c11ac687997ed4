/**
 * How well the wait for the first token is predicted: mixed requests to the real model by the shipped defaults, one
 * after another, with and without a warm prefix, and what the records say was predicted and came.
 * `node bench/prediction.ts [--requests 50] [--model qwen2.5-coder-0.5b]`
 *
 * Prints the ratio of predicted to real a kind; the goal is a median within 1.3 either way over all.
 */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { npmStart, type Product } from '@lfo/testing/npm-start.ts';
import * as z from 'zod';
import { quantile } from './figures.ts';

const { values: options } = parseArgs({
  options: {
    requests: { type: 'string', default: '50' },
    model: { type: 'string', default: 'qwen2.5-coder-0.5b' },
  },
});

const goal = 1.3;
const answer = z.object({ choices: z.tuple([z.object({ message: z.object({ content: z.string().nullable() }) })]) });
const waits = z.object({
  request: z.object({ predictedWaitMs: z.number().nullable(), waitMs: z.number().nullable() }),
});

const topics = [
  'the sea',
  'a railway',
  'bread',
  'winter',
  'a library',
  'the moon',
  'a garden',
  'copper',
  'maps',
  'salt',
];

interface Message {
  readonly role: 'system' | 'user' | 'assistant';
  readonly content: string;
}

interface Sent {
  readonly messages: readonly Message[];
  readonly tools?: readonly object[];
}

/** Different words for each number, about four tokens a sentence and topic. */
function text(sentences: number, seed: number): string {
  const of = (at: number): string => topics[(seed * 7 + at * 3 + Math.floor(at / topics.length)) % topics.length] ?? '';
  return Array.from({ length: sentences }, (_, at) => `Note ${seed}.${at} is about ${of(at)} and ${of(at + 1)}.`).join(
    ' ',
  );
}

function toolOf(topic: string, seed: number): object {
  const name = `look_up_${topic.replaceAll(/[^a-z]+/gu, '_')}_${seed}`;
  const properties = {
    place: { type: 'string', description: `Where ${topic} is looked for` },
    days: { type: 'integer', description: 'How many days ahead' },
    unit: { type: 'string', enum: ['metric', 'imperial'] },
  };
  const parameters = { type: 'object', properties, required: ['place'] };
  return { type: 'function', function: { name, description: `Looks up facts on ${topic}.`, parameters } };
}

const agent = { role: 'system', content: `You help with notes. ${text(20, 1)}` } as const;
const conversation: Message[] = [agent];

/** A kind of request each; those of one agent share their head, those of nobody share nothing. */
const kinds: Readonly<Record<string, (seed: number) => Sent>> = {
  short: (seed) => ({ messages: [{ role: 'user', content: `Say a word about ${topics[seed % topics.length]}.` }] }),
  'one tool': (seed) => ({
    messages: [{ role: 'user', content: `What is known of ${topics[seed % topics.length]} in Oslo?` }],
    tools: [toolOf(topics[seed % topics.length] ?? '', 0)],
  }),
  'agent, warm': (seed) => ({ messages: [agent, { role: 'user', content: `Sum up note ${seed}.` }] }),
  conversation: (seed) => {
    conversation.push({ role: 'user', content: text(4, seed) });
    return { messages: [...conversation] };
  },
  'long, cold': (seed) => ({ messages: [{ role: 'user', content: text(20 + (seed % 5) * 12, seed + 100) }] }),
};

interface Sample {
  readonly kind: string;
  readonly ratio: number;
}

async function ask({ url }: Product, sent: Sent): Promise<{ readonly id: string; readonly content: string }> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ ...sent, max_tokens: 24, temperature: 0 }),
  });
  const body = await response.json();
  if (response.status !== 200) throw new Error(`A request was answered ${response.status}: ${JSON.stringify(body)}`);
  const [choice] = answer.parse(body).choices;
  return { id: response.headers.get('x-request-id') ?? '', content: choice.message.content ?? '' };
}

/** Both are on record with the answer, which is a moment after it; nothing is known of a request that stays without. */
async function waitsOf({ url }: Product, id: string): Promise<z.output<typeof waits>['request']> {
  for (let turn = 0; turn < 20; turn += 1) {
    await pause(100);
    const response = await fetch(`${url}/dashboard/api/requests/${id}`);
    if (response.status !== 200) continue;
    const { request } = waits.parse(await response.json());
    if (request.waitMs !== null) return request;
  }
  return { predictedWaitMs: null, waitMs: null };
}

function row(name: string, samples: readonly Sample[]): void {
  const ratios = samples.map(({ ratio }) => ratio);
  const [low, median, high] = [0.25, 0.5, 0.75].map((share) => quantile(ratios, share).toFixed(2).padStart(8));
  process.stdout.write(`${name.padEnd(14)}${String(samples.length).padStart(5)}${median}${low}${high}\n`);
}

const load = loadavg()[0] ?? 0;
process.stdout.write(
  `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, load ${load.toFixed(1)} before; ${options.model}\n`,
);
const product = await npmStart({ LFO_LOCAL_MODEL: options.model });
try {
  const samples: Sample[] = [];
  let unpredicted = 0;
  const names = Object.keys(kinds);
  for (let seed = 0; seed < Number(options.requests); seed += 1) {
    const kind = names[seed % names.length] ?? '';
    const sent = kinds[kind]?.(seed);
    if (sent === undefined) throw new Error(`There is no kind ${kind}.`);
    const { id, content } = await ask(product, sent);
    if (kind === 'conversation') conversation.push({ role: 'assistant', content });
    const { predictedWaitMs, waitMs } = await waitsOf(product, id);
    if (predictedWaitMs === null || waitMs === null) unpredicted += 1;
    else samples.push({ kind, ratio: predictedWaitMs / waitMs });
  }
  process.stdout.write(
    `${'predicted/real'.padEnd(14)}${'n'.padStart(5)}${'median'.padStart(8)}${'p25'.padStart(8)}${'p75'.padStart(8)}\n`,
  );
  for (const name of names)
    row(
      name,
      samples.filter(({ kind }) => kind === name),
    );
  row('all', samples);
  process.stdout.write(`${unpredicted} without a prediction: no rate was measured yet.\n`);
  const median = quantile(
    samples.map(({ ratio }) => ratio),
    0.5,
  );
  const isMet = median <= goal && median >= 1 / goal;
  process.stdout.write(`The goal, a median within ${goal} either way, is ${isMet ? 'met' : 'missed'}.\n`);
  process.exitCode = isMet ? 0 : 1;
} finally {
  await product.stop();
  product.discard();
}
