import assert from 'node:assert/strict';
import { test, type TestContext } from 'node:test';

import { FakeClock } from '@lfo/testing/fake-clock.ts';

import type { BackendStatus, BackendView, FleetView } from '../core/backend.ts';
import { announceStart } from './startup.ts';

function viewOf(id: string, status: BackendStatus): BackendView {
  return {
    id,
    tier: 'local',
    models: ['model'],
    capabilities: { tools: true, jsonSchema: true, images: false, audio: false, logprobs: true },
    status,
    breaker: 'closed',
    inFlight: 0,
  };
}

/** A start with an embedded model over a fleet that changes; what was said of it, in order. */
function started(t: TestContext, fleet: () => FleetView, hasLooked: () => boolean) {
  const clock = new FakeClock();
  const said: string[] = [];
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
    fleet,
    hasLooked,
  });
  t.after(stop);
  return { clock, said };
}

const missing: BackendStatus = { state: 'down', detail: 'There is no model file model.gguf.' };

test('a view that is older than what the model says of itself makes no start ready', (t) => {
  let view = [viewOf('embedded', { state: 'loading' })];
  const { clock, said } = started(
    t,
    () => ({ backends: view }),
    () => true,
  );
  assert.deepEqual(said, []);
  view = [viewOf('embedded', missing)];
  clock.advance(100);
  assert.equal(said.length, 1);
  assert.notEqual(said[0], 'ready');
});

test('a server that nobody has looked at yet makes no start ready, where the model has failed before that', (t) => {
  let view = [viewOf('embedded', missing), viewOf('near', { state: 'ready' })];
  let hasLooked = false;
  const { clock, said } = started(
    t,
    () => ({ backends: view }),
    () => hasLooked,
  );
  clock.advance(500);
  assert.deepEqual(said, []);
  view = [viewOf('embedded', missing), viewOf('near', { state: 'down', detail: 'It cannot be reached.' })];
  hasLooked = true;
  clock.advance(100);
  assert.deepEqual(said, ['There is no model file model.gguf.']);
});
