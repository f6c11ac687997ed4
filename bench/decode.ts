/**
 * Decoding through the whole router (HTTP stream, gate, pipe, model's process) against the same model driven directly
 * by node-llama-cpp, in turns, both at the default number of threads. Linux alone.
 * `node bench/decode.ts [--pairs 7] [--tokens 128]`
 *
 * Tokens a second between the first and the last one; CPU a token in the same span: direct that of the whole process,
 * through the router that of the model's process and of all. On a shared machine wall time is noise: the ratio of CPU
 * is what the router costs.
 */
import { availableParallelism, cpus, loadavg } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { modelsDir, npmStart, type Product } from '@lfo/testing/npm-start.ts';
import { modelProcess, processGroup } from '@lfo/testing/process-group.ts';
import { getLlama, LlamaLogLevel, type LlamaContextSequence, type Token } from 'node-llama-cpp';
import { median } from './figures.ts';

const { values: options } = parseArgs({
  options: { pairs: { type: 'string', default: '7' }, tokens: { type: 'string', default: '128' } },
});
const wanted = Number(options.tokens);
const threads = Math.max(1, availableParallelism() - 1);
const system = 'You are a helpful assistant.';
const user = 'Write a long story about the sea.';

interface Run {
  readonly text: string;
  readonly perSecond: number;
  /** Of the process that computes. */
  readonly engineCpuMs: number;
  /** Of everything that takes part. */
  readonly allCpuMs: number;
}

/** Marks the first token and gives what passed since then, a token. */
class Span {
  #at = NaN;
  #engine = 0;
  #all = 0;
  readonly #cpu: () => { readonly engine: number; readonly all: number };

  constructor(cpu: () => { readonly engine: number; readonly all: number }) {
    this.#cpu = cpu;
  }

  begin(): void {
    if (!Number.isNaN(this.#at)) return;
    this.#at = performance.now();
    ({ engine: this.#engine, all: this.#all } = this.#cpu());
  }

  end(tokens: number): Omit<Run, 'text'> {
    const ms = performance.now() - this.#at;
    const { engine, all } = this.#cpu();
    return {
      perSecond: (tokens * 1000) / ms,
      engineCpuMs: (engine - this.#engine) / tokens,
      allCpuMs: (all - this.#all) / tokens,
    };
  }
}

async function direct(sequence: LlamaContextSequence): Promise<Run> {
  await sequence.clearHistory();
  const { model } = sequence;
  const prompt = `<|im_start|>system\n${system}<|im_end|>\n<|im_start|>user\n${user}<|im_end|>\n<|im_start|>assistant\n`;
  const written: Token[] = [];
  const span = new Span(() => {
    const { user: used, system: kernel } = process.cpuUsage();
    return { engine: (used + kernel) / 1000, all: (used + kernel) / 1000 };
  });
  for await (const token of sequence.evaluate(model.tokenize(prompt, true), { temperature: 0 })) {
    span.begin();
    written.push(token);
    if (written.length === wanted) break;
  }
  return { ...span.end(written.length - 1), text: model.detokenize(written) };
}

async function routed({ url, pid }: Product): Promise<Run> {
  const response = await fetch(`${url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({
      model: 'lfo-local',
      messages: [
        { role: 'system', content: system },
        { role: 'user', content: user },
      ],
      max_tokens: wanted,
      temperature: 0,
      stream: true,
      stream_options: { include_usage: true },
    }),
  });
  if (response.body === null) throw new Error(`the router answered ${response.status}`);
  const span = new Span(() => ({
    engine: modelProcess(pid)?.cpuMs ?? NaN,
    all: processGroup(pid).reduce((sum, { cpuMs }) => sum + cpuMs, 0),
  }));
  let all = '';
  let last: Omit<Run, 'text'> | undefined;
  for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
    if (chunk.includes('"content":"')) span.begin();
    all += chunk;
    // The span ends with the answer's last words, before the numbers about it.
    if (last === undefined && /"finish_reason":"/.test(all)) last = span.end(wanted - 1);
  }
  const written = Number(/"completion_tokens":(\d+)/.exec(all)?.[1]);
  if (last === undefined || written !== wanted) throw new Error(`${written} tokens came instead of ${wanted}`);
  const texts = all.matchAll(/"content":("(?:[^"\\]|\\.)*")/g);
  return { ...last, text: Array.from(texts, ([, json]) => String(JSON.parse(json ?? '""'))).join('') };
}

function print(name: string, one: Omit<Run, 'text'>, other: Omit<Run, 'text'>): void {
  const cells = [one.perSecond, other.perSecond, other.perSecond / one.perSecond];
  const cpu = [one.engineCpuMs, other.engineCpuMs, other.allCpuMs, other.engineCpuMs / one.engineCpuMs];
  const columns = [...cells, ...cpu].map((value, at) => value.toFixed(at === 2 || at === 6 ? 3 : 1).padStart(9));
  process.stdout.write(`${name.padEnd(8)}${columns.join('')}\n`);
}

const product = await npmStart({ LFO_LOCAL_MODEL: 'qwen2.5-coder-0.5b' });
try {
  const llama = await getLlama({
    build: 'never',
    skipDownload: true,
    gpu: false,
    maxThreads: threads,
    logLevel: LlamaLogLevel.disabled,
  });
  const model = await llama.loadModel({ modelPath: join(modelsDir, 'qwen2.5-coder-0.5b-instruct-q4_k_m.gguf') });
  const context = await model.createContext({ contextSize: 8192, sequences: 2, threads });
  const sequence = context.getSequence();
  await direct(sequence);
  await routed(product);
  process.stdout.write(
    `${cpus()[0]?.model ?? 'unknown'}, ${availableParallelism()} cores, ${threads} threads, load ${(loadavg()[0] ?? 0).toFixed(1)}; ` +
      `${wanted} tokens\n        tokens/s                   CPU ms a token\n` +
      `${['', 'direct', 'router', 'ratio', 'direct', 'model', 'all', 'ratio'].map((word, at) => (at === 0 ? word.padEnd(8) : word.padStart(9))).join('')}\n`,
  );
  const pairs: { one: Run; other: Run }[] = [];
  for (let pair = 1; pair <= Number(options.pairs); pair += 1) {
    // Who begins alternates too.
    const routedFirst = pair % 2 === 0 ? await routed(product) : undefined;
    const one = await direct(sequence);
    const other = routedFirst ?? (await routed(product));
    pairs.push({ one, other });
    print(String(pair), one, other);
  }
  const of = (pick: (pair: { one: Run; other: Run }) => number): number => median(pairs.map(pick));
  process.stdout.write(
    `median of the ratios: tokens/s ${of(({ one, other }) => other.perSecond / one.perSecond).toFixed(3)}, ` +
      `CPU of the model's process ${of(({ one, other }) => other.engineCpuMs / one.engineCpuMs).toFixed(3)}, ` +
      `of all ${of(({ one, other }) => other.allCpuMs / one.allCpuMs).toFixed(3)}; ` +
      `same words: ${pairs.every(({ one, other }) => one.text === other.text) ? 'yes' : 'no'}\n`,
  );
  await llama.dispose();
  await product.stop();
} finally {
  product.discard();
}
