import { type Cancellation, childOf } from '../../../core/abort.ts';
import type { Clock } from '../../../core/clock.ts';
import type { HttpBackendConfig } from '../../../config/config.ts';
import type { HttpClient } from '../../http/client.ts';
import { readTextBody } from '../../http/json-body.ts';

/** What an engine says of itself. */
export interface EngineReading {
  readonly running: number;
  readonly waiting: number;
  /** Share of its cache that is taken, 0..1; absent: not told. */
  readonly cacheShare?: number;
}

const readMs = 500;
const maxBytes = 8 * 1024 * 1024;
/** After so many failures in a row it is left alone for a while: reading it has stalled engines. */
const failures = 3;
const restMs = 30_000;

/** Reads how busy an engine is from its metrics. */
export class EngineLoad {
  readonly #client: HttpClient;
  readonly #clock: Clock;
  readonly #url: URL;
  #failed = 0;
  #notBeforeMs = -Infinity;

  constructor(client: HttpClient, clock: Clock, url: URL) {
    this.#client = client;
    this.#clock = clock;
    this.#url = url;
  }

  /** Undefined where it does not say in time, or is left alone. Never rejects. */
  async read(signal: Cancellation): Promise<EngineReading | undefined> {
    if (this.#clock.nowMs() < this.#notBeforeMs) return undefined;
    const abort = childOf(signal);
    const cancel = this.#clock.schedule(readMs, () => abort.abort(new Error('late')));
    try {
      const reading = readingIn(await this.#text(abort.signal));
      if (reading === undefined) throw new Error('no figures');
      this.#failed = 0;
      return reading;
    } catch {
      this.#failed++;
      if (this.#failed >= failures) this.#notBeforeMs = this.#clock.nowMs() + restMs;
      return undefined;
    } finally {
      cancel();
      abort.release();
    }
  }

  async #text(signal: Cancellation): Promise<string> {
    const { status, body } = await this.#client.send({ method: 'GET', url: this.#url, headers: {}, signal });
    if (status !== 200) {
      body.destroy();
      throw new Error(`status ${status}`);
    }
    return await readTextBody(body, { backend: this.#url.host, maxBytes });
  }
}

/** Where the metrics of a backend are; undefined where nobody says. Only those of the own network are read. */
export function metricsUrlOf({ tier, engine, metricsUrl, baseUrl }: HttpBackendConfig): URL | undefined {
  if (tier !== 'local') return undefined;
  if (metricsUrl !== undefined) return new URL(metricsUrl);
  if (engine !== 'vllm' && engine !== 'sglang' && engine !== 'dynamo') return undefined;
  return new URL('/metrics', baseUrl);
}

/** Names of the same figure, by engine and version; under Ray with a prefix. */
const figures = {
  running: ['vllm:num_requests_running', 'sglang:num_running_reqs', 'dynamo_frontend_inflight_requests'],
  waiting: ['vllm:num_requests_waiting', 'sglang:num_queue_reqs', 'dynamo_frontend_queued_requests'],
  cacheShare: ['vllm:kv_cache_usage_perc', 'vllm:gpu_cache_usage_perc', 'sglang:token_usage'],
} as const;

/** Reads the format of Prometheus; undefined where it has neither figure. Several of one name are added up. */
export function readingIn(text: string): EngineReading | undefined {
  const sums = new Map<string, { total: number; count: number }>();
  const line = /^(?:ray_)?((?:vllm|sglang):\w+|dynamo_frontend_\w+)(?:\{[^\n]*\})?[ \t]+([-+\d.eE]+)/gm;
  for (const [, name = '', value] of text.matchAll(line)) {
    const number = Number(value);
    if (!Number.isFinite(number) || number < 0) continue;
    const sum = sums.get(name) ?? { total: 0, count: 0 };
    sums.set(name, { total: sum.total + number, count: sum.count + 1 });
  }
  const find = (names: readonly string[]) => names.map((name) => sums.get(name)).find((sum) => sum !== undefined);
  const [running, waiting, cache] = [find(figures.running), find(figures.waiting), find(figures.cacheShare)];
  if (running === undefined && waiting === undefined) return undefined;
  return {
    running: running?.total ?? 0,
    waiting: waiting?.total ?? 0,
    ...(cache === undefined ? {} : { cacheShare: cache.total / cache.count }),
  };
}
