/**
 * Holds many live streams open at once: `node bench/hold.ts [--streams 1000] [--minutes 5] [--per-second 20]`.
 *
 * One router in front of one model server that writes a chunk to each stream at that pace. Every stream must bring all
 * its chunks and its end. Prints the gaps between a stream's chunks, the CPU of router and client, and the router's
 * memory each ten seconds; exits 1 when a stream failed or memory grew.
 */
import { createHistogram } from 'node:perf_hooks';
import { setTimeout as delay } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { Pool } from 'undici';
import { cpuMsOf, residentMbOf } from './overhead/process-tree.ts';
import { Stage } from './overhead/systems.ts';

const { values: options } = parseArgs({
  options: {
    streams: { type: 'string', default: '1000' },
    minutes: { type: 'string', default: '5' },
    'per-second': { type: 'string', default: '20' },
  },
});
const streams = Number(options.streams);
const paceMs = 1000 / Number(options['per-second']);
const chunks = Math.round((Number(options.minutes) * 60_000) / paceMs);
/** Opened one after the other, so that they are not all in step. */
const openingMs = 10_000;
const mostGrownMb = 50;

const stage = new Stage();
try {
  const upstream = await stage.upstream(chunks, paceMs);
  const router = await stage.lfo(upstream);
  const pool = new Pool(router.origin, { connections: streams, pipelining: 1, headersTimeout: 0, bodyTimeout: 0 });
  const gaps = createHistogram({ lowest: 1, highest: 600_000, figures: 3 });
  const failures: string[] = [];
  const memory: number[] = [];
  const cpuBefore = cpuMsOf(router.pid);
  const ownBefore = process.cpuUsage();
  const began = performance.now();
  const left = { open: streams };
  const all = Promise.all(
    Array.from({ length: streams }, async (_, index) => {
      await delay((index * openingMs) / streams);
      const failure = await hold(pool, router.models.local ?? '', gaps);
      if (failure !== undefined) failures.push(failure);
      left.open--;
    }),
  );
  const watch = async (): Promise<void> => {
    while (left.open > 0) {
      await Promise.race([delay(10_000, undefined, { ref: false }), all]);
      memory.push(Math.round(residentMbOf(router.pid)));
    }
  };
  await Promise.all([all, watch()]);
  const tookMs = performance.now() - began;
  const cpu = (cpuMsOf(router.pid) - cpuBefore) / tookMs;
  const { user, system } = process.cpuUsage(ownBefore);
  await pool.destroy();
  // Until every stream was open, and the collector had seen a few, it had to grow.
  const settled = memory.slice(Math.floor(memory.length / 2));
  const grownMb = Math.max(...settled) - (settled[0] ?? 0);
  console.log(
    `${streams} streams of ${chunks} chunks, ${options['per-second']} a second, ${(tookMs / 1000).toFixed(0)} s`,
  );
  console.log(
    `gaps between chunks: p50 ${gaps.percentile(50)} ms, p99 ${gaps.percentile(99)} ms, longest ${gaps.max} ms`,
  );
  console.log(`CPU: router ${percent(cpu)} of a core, client ${percent((user + system) / 1000 / tookMs)}`);
  console.log(`memory of the router, MB: ${memory.join(', ')}`);
  console.log(`${failures.length} failures${failures.length === 0 ? '' : `: ${failures.slice(0, 3).join('; ')}`}`);
  process.exitCode = failures.length > 0 || grownMb > mostGrownMb ? 1 : 0;
} finally {
  await stage.end();
}

function percent(share: number): string {
  return `${(share * 100).toFixed(0)} %`;
}

/** Reads one stream to its end; resolves with what is wrong with it. */
function hold(pool: Pool, model: string, gaps: { record(ms: number): void }): Promise<string | undefined> {
  const messages = [{ role: 'user', content: 'live pace' }];
  const body = JSON.stringify({ model, stream: true, messages });
  return new Promise((resolve) => {
    let status = 0;
    let seen = 0;
    let lastMs = 0;
    let tail = '';
    pool.dispatch(
      { method: 'POST', path: '/v1/chat/completions', headers: { 'content-type': 'application/json' }, body },
      {
        onRequestStart() {},
        onResponseStart: (_controller, code) => void (status = code),
        onResponseData(_controller, bytes) {
          const text = bytes.toString('latin1');
          tail = text.slice(-200);
          const came = text.split('"token "').length - 1;
          if (came === 0) return;
          const nowMs = performance.now();
          if (lastMs > 0) gaps.record(Math.max(1, Math.round(nowMs - lastMs)));
          lastMs = nowMs;
          seen += came;
        },
        onResponseEnd() {
          const isWhole = status === 200 && seen === chunks && tail.endsWith('data: [DONE]\n\n');
          resolve(isWhole ? undefined : `status ${status}, ${seen} of ${chunks} chunks, ${tail}`);
        },
        onResponseError: (_controller, error) => resolve(String(error)),
      },
    );
  });
}
