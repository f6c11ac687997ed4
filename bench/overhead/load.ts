import { Pool } from 'undici';
import { type Cell, chunksAStream } from './cells.ts';
import { cpuMsOf } from './process-tree.ts';
import type { System } from './systems.ts';

export interface Sample {
  /** Of a whole answer, in milliseconds. */
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly firstByteMs: number;
  readonly perSecond: number;
  /** Of the system's processes, user and system together, in microseconds. */
  readonly cpuUs: number;
}

/** Sends the requests of a cell and checks every answer for its mark, every stream for all its chunks. */
export async function load(system: System, cell: Cell, requests = cell.requests): Promise<Sample> {
  const pool = new Pool(system.origin, { connections: cell.concurrency, pipelining: 1 });
  const body = cell.body(system.models[cell.model] ?? '');
  const times: number[] = [];
  const firsts: number[] = [];
  let left = requests;
  const cpuBefore = cpuMsOf(system.pid);
  const began = performance.now();
  const worker = async (): Promise<void> => {
    while (left-- > 0) {
      const from = performance.now();
      let firstMs = await send(pool, system, cell, body);
      // A starved router sheds load, as it should.
      while (firstMs === undefined) {
        await new Promise((resolve) => setTimeout(resolve, 100));
        firstMs = await send(pool, system, cell, body);
      }
      firsts.push(firstMs - from);
      times.push(performance.now() - from);
    }
  };
  await Promise.all(Array.from({ length: cell.concurrency }, worker));
  const took = performance.now() - began;
  const cpuUs = ((cpuMsOf(system.pid) - cpuBefore) / requests) * 1000;
  await pool.destroy();
  times.sort((a, b) => a - b);
  return {
    p50Ms: times[Math.floor(times.length / 2)] ?? 0,
    p99Ms: times[Math.floor(times.length * 0.99)] ?? 0,
    firstByteMs: firsts.toSorted((a, b) => a - b)[Math.floor(firsts.length / 2)] ?? 0,
    perSecond: (requests / took) * 1000,
    cpuUs,
  };
}

/** Resolves with the time of the first byte; `undefined` where it was asked to come again. */
function send(
  pool: Pool,
  { name, headers, models }: System,
  { isStream, path, model }: Cell,
  body: string,
): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    let status = 0;
    let firstMs = 0;
    let text = '';
    pool.dispatch(
      {
        method: 'POST',
        path: path?.(models[model] ?? '') ?? '/v1/chat/completions',
        headers: { 'content-type': 'application/json', ...headers?.[model] },
        body,
      },
      {
        onRequestStart() {},
        onResponseStart(_controller, code) {
          status = code;
        },
        onResponseData(_controller, bytes) {
          if (text === '') firstMs = performance.now();
          text += bytes.toString('latin1');
        },
        onResponseEnd() {
          const isWhole = isStream
            ? text.split('"token "').length - 1 === chunksAStream && text.trimEnd().endsWith('data: [DONE]')
            : /end of mark|(?:token ){64}/.test(text);
          if (status === 200 && isWhole) resolve(firstMs);
          else if (status === 503 && text.includes('"overloaded"')) resolve(undefined);
          else reject(new Error(`${name} answered ${status}, ${text.length} characters: ${text.slice(-300)}`));
        },
        onResponseError: (_controller, error) => reject(error),
      },
    );
  });
}
