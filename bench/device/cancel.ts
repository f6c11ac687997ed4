/**
 * From a client that closes its HTTP connection to the last token that the device's engine makes:
 * `node bench/device/cancel.ts [--model smollm2-135m] [--rounds 20]`. The real model, in a device host behind an encrypted
 * link; the engine's own tokens and the end of its run are timed.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { EngineRequest, LoadedModel, ModelOpener } from '@lfo/device-core';
import { chooseEngine } from '@lfo/device-host/src/device/engine-choice.ts';
import { modelsDir } from '@lfo/testing/npm-start.ts';
import { invited } from '@lfo/testing/pairing.ts';
import { startRouter } from '@lfo/testing/router.ts';
import { TestDevice } from '@lfo/testing/test-device.ts';
import { quantile } from '../figures.ts';
import { Closers } from './closers.ts';

const { values } = parseArgs({
  options: { model: { type: 'string', default: 'smollm2-135m' }, rounds: { type: 'string', default: '20' } },
});
const rounds = Number(values.rounds);
const closers = new Closers();
/** Of the run under way. */
let lastTokenMs = 0;
let endedMs = Number.NaN;

try {
  const chosen = await chooseEngine({
    engine: 'llama',
    model: values.model,
    slots: 1,
    contextTokens: 2048,
    tokensPerSecond: 0,
    modelsDir,
    offline: true,
  });
  const openModel: ModelOpener = async (onProgress, signal) => watched(await chosen.openModel(onProgress, signal));
  const router = await startRouter(closers, { env: { LFO_FLEET_LISTEN: '127.0.0.1:0', LFO_LOG_LEVEL: 'error' } });
  const device = new TestDevice(closers, { opened: { engine: chosen.engine, openModel } });
  await device.pair((await invited(router)).uri);
  while (
    (await router.chat({ model: 'lfo-local', messages: [{ role: 'user', content: 'Hi' }], max_tokens: 4 })).status !==
    200
  )
    await pause(200);

  const tokens: number[] = [];
  const ends: number[] = [];
  for (let round = 0; round < rounds; round++) {
    endedMs = Number.NaN;
    const abort = new AbortController();
    const response = await fetch(`${router.app.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({
        model: 'lfo-local',
        messages: [{ role: 'user', content: `Write a very long story about the number ${round}.` }],
        stream: true,
        max_tokens: 1000,
      }),
      signal: abort.signal,
    });
    const reader = response.body?.getReader();
    for (let chunks = 0; chunks < 5; chunks++) await reader?.read();
    const leftMs = performance.now();
    abort.abort();
    while (Number.isNaN(endedMs)) await pause(5);
    tokens.push(Math.max(0, lastTokenMs - leftMs));
    ends.push(endedMs - leftMs);
    await pause(100);
  }
  process.stdout.write(
    `${JSON.stringify({ model: values.model, rounds, last_token_ms: quantiles(tokens), run_ended_ms: quantiles(ends) })}\n`,
  );
} finally {
  await closers.close();
}

/** The model as it is, with an eye on when it says something and when it ends. */
function watched(model: LoadedModel): LoadedModel {
  return new Proxy(model, {
    get(target, name) {
      if (name === 'run') {
        return async function* (
          request: EngineRequest,
          signal: AbortSignal,
          onPrefill: (done: number, total: number) => void,
        ) {
          try {
            for await (const event of target.run(request, signal, onPrefill)) {
              lastTokenMs = performance.now();
              yield event;
            }
          } finally {
            endedMs = performance.now();
          }
        };
      }
      const value: unknown = Reflect.get(target, name, target);
      return typeof value === 'function' ? value.bind(target) : value;
    },
  });
}

function quantiles(values: readonly number[]): { readonly p50: number; readonly p95: number; readonly most: number } {
  const rounded = (share: number): number => Math.round(quantile(values, share) * 10) / 10;
  return { p50: rounded(0.5), p95: rounded(0.95), most: rounded(1) };
}
