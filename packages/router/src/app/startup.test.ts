import assert from 'node:assert/strict';
import { test } from 'node:test';

import { FakeClock } from '@lfo/testing/fake-clock.ts';

import type { BackendStatus, FleetView } from '../core/backend.ts';
import { announceStart } from './startup.ts';

function viewOf(status: BackendStatus): FleetView {
  return {
    backends: [
      {
        id: 'embedded',
        tier: 'local',
        models: ['model'],
        capabilities: { tools: true, jsonSchema: true, images: false, audio: false, logprobs: true },
        status,
        breaker: 'closed',
        inFlight: 0,
      },
    ],
  };
}

test('a view that is older than what the model says of itself makes no start ready', () => {
  const clock = new FakeClock();
  const said: string[] = [];
  let view = viewOf({ state: 'loading' });
  const stop = announceStart({
    clock,
    processStartMs: 0,
    listener: {
      listening() {},
      progress() {},
      ready: () => said.push('ready'),
      unable: (_info, { what }) => said.push(what),
    },
    url: 'http://127.0.0.1:1',
    needsKey: false,
    embedded: { id: 'embedded', progress: undefined, engine: undefined },
    fleet: () => view,
    hasLooked: () => true,
  });
  assert.deepEqual(said, []);
  view = viewOf({ state: 'down', detail: 'There is no model file model.gguf.' });
  clock.advance(100);
  assert.equal(said.length, 1);
  assert.notEqual(said[0], 'ready');
  stop();
});
