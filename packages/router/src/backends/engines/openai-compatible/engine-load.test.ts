import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import type { HttpClient } from '../../http/client.ts';
import { EngineLoad, readingIn } from './engine-load.ts';

test('reads what vLLM says, several engines of one server together', () => {
  const text = `# HELP vllm:num_requests_running Number of requests in model execution batches.
vllm:num_requests_running{engine="0",model_name="m"} 3.0
vllm:num_requests_running{engine="1",model_name="m"} 2.0
vllm:num_requests_waiting{engine="0",model_name="m"} 7.0
vllm:num_requests_waiting_by_reason{reason="capacity"} 99.0
vllm:kv_cache_usage_perc{engine="0",model_name="m"} 0.5
`;
  assert.deepEqual(readingIn(text), { running: 5, waiting: 7, cacheShare: 0.5 });
});

test('reads older names, those under Ray, SGLang and the front of Dynamo', () => {
  assert.deepEqual(readingIn('vllm:num_requests_running 1\nvllm:gpu_cache_usage_perc 0.25\n'), {
    running: 1,
    waiting: 0,
    cacheShare: 0.25,
  });
  assert.deepEqual(readingIn('ray_vllm:num_requests_waiting{WorkerId="a"} 4.0\n'), { running: 0, waiting: 4 });
  const sglang =
    'sglang:num_running_reqs{m="x"} 8.0\nsglang:num_queue_reqs{m="x"} 2.0\nsglang:token_usage{m="x"} 0.9\n';
  assert.deepEqual(readingIn(sglang), { running: 8, waiting: 2, cacheShare: 0.9 });
  const dynamo = 'dynamo_frontend_inflight_requests{model="x"} 6\ndynamo_frontend_queued_requests{model="x"} 1\n';
  assert.deepEqual(readingIn(dynamo), { running: 6, waiting: 1 });
});

test('takes nothing for a figure that is none', () => {
  assert.equal(readingIn('<html>'), undefined);
  assert.equal(readingIn('vllm:num_requests_running NaN\nvllm:num_requests_waiting -1\n'), undefined);
});

test('gives up after half a second, and after three failures in a row leaves the engine alone for half a minute', async () => {
  const clock = new FakeClock();
  let sent = 0;
  const client: HttpClient = {
    send: ({ signal }) => {
      sent++;
      return new Promise((_resolve, reject) => {
        signal.addEventListener('abort', () => reject(signal.reason), { once: true });
      });
    },
    close: async () => {},
  };
  const load = new EngineLoad(client, clock, new URL('http://127.0.0.1/metrics'));
  const { signal } = new AbortController();
  for (let read = 1; read <= 3; read++) {
    const reading = load.read(signal);
    await clock.advanceAsync(500);
    assert.equal(await reading, undefined);
    assert.equal(sent, read);
  }
  assert.equal(await load.read(signal), undefined);
  assert.equal(sent, 3);
  await clock.advanceAsync(30_000);
  const again = load.read(signal);
  await clock.advanceAsync(500);
  await again;
  assert.equal(sent, 4);
});
