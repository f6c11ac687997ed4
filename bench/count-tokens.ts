/**
 * How long `POST /v1/messages/count_tokens` takes: a conversation of 100 kB counted for the first time, and then again and
 * again while it grows by a turn, by a model server that cannot count and by the embedded model that can.
 * `node bench/count-tokens.ts [--model FILE.gguf] [--kb 100] [--turns 60]`
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { listenTo } from '@lfo/testing/listen-to.ts';
import { median } from './figures.ts';

const { values: options } = parseArgs({
  options: {
    model: { type: 'string' },
    kb: { type: 'string', default: '100' },
    turns: { type: 'string', default: '60' },
  },
});
const launcher = fileURLToPath(new URL('../packages/router/bin/lfo.js', import.meta.url));
const bytes = Number(options.kb) * 1000;
const turns = Number(options.turns);

await measure('a server that cannot count', 'none');
if (options.model !== undefined) await measure('the embedded model', options.model);

async function measure(name: string, model: string): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'lfo-count-'));
  writeFileSync(
    join(folder, 'lfo.yaml'),
    'backends:\n  - { name: near, kind: openai-compatible, tier: local, base_url: "http://127.0.0.1:9/v1", models: [bench], context_tokens: 200000 }\nserver: { port: 0 }\n',
  );
  const child = spawn(process.execPath, [launcher, 'serve'], {
    cwd: folder,
    env: {
      PATH: process.env['PATH'],
      HOME: process.env['HOME'],
      LFO_LOCAL_MODEL: model,
      LFO_DATA_DIR: join(folder, 'data'),
    },
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const heard = listenTo(child);
  // A server that is not there never becomes ready; nothing has to be for a count.
  if (model !== 'none') await heard.until(/LFO is ready/);
  const [, origin = ''] = await heard.until(/"url":"(http:[^"]+)"/);
  try {
    const first: number[] = [];
    for (let run = 0; run < 5; run++) first.push((await count(origin, conversation(`first ${run}`))).ms);
    const messages = conversation('grown');
    await count(origin, messages);
    const again: number[] = [];
    let tokens = 0;
    for (let turn = 0; turn < turns; turn++) {
      messages.push(
        { role: 'assistant', content: `Step ${turn} is done.` },
        { role: 'user', content: words(500, turn) },
      );
      const counted = await count(origin, messages);
      again.push(counted.ms);
      tokens = counted.tokens;
    }
    console.log(
      `${name}: first ${median(first).toFixed(1)} ms (most ${Math.max(...first).toFixed(1)}, at most 150), again ${median(again).toFixed(2)} ms p50 (at most 5), ${tokens} tokens at the end`,
    );
  } finally {
    child.kill('SIGTERM');
    await once(child, 'exit');
    rmSync(folder, { recursive: true, force: true });
  }
}

async function count(
  origin: string,
  messages: readonly object[],
): Promise<{ readonly ms: number; readonly tokens: number }> {
  const body = JSON.stringify({ model: 'lfo-local', messages });
  const startMs = performance.now();
  const response = await fetch(`${origin}/v1/messages/count_tokens`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body,
  });
  const text = await response.text();
  const ms = performance.now() - startMs;
  if (response.status !== 200) throw new Error(`${response.status}: ${text}`);
  return { ms, tokens: Number(JSON.parse(text).input_tokens) };
}

/** Turns of 2 kB each. */
function conversation(name: string): object[] {
  return Array.from({ length: Math.ceil(bytes / 2000) }, (_, at) => ({
    role: at % 2 === 0 ? 'user' : 'assistant',
    content: `${name} ${at}: ${words(1950, at)}`,
  }));
}

function words(length: number, seed: number): string {
  const some = [
    'const',
    'answer',
    'reads',
    'the',
    'file',
    'again',
    'return',
    'while',
    'parser',
    'tokens',
    'line',
    '=>',
    '{',
    '}',
  ];
  let text = '';
  for (let n = seed + 1; text.length < length; n = (n * 1_103_515_245 + 12_345) % 2_147_483_648) {
    text += `${some[n % some.length]} `;
  }
  return text;
}
