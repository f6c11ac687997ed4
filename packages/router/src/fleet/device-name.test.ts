import assert from 'node:assert/strict';
import { test } from 'node:test';
import { deviceVectors } from '@lfo/testing/device-vectors.ts';
import * as z from 'zod';
import { deviceNamePattern, firstName } from './device-name.ts';

const { names } = deviceVectors(
  'trust',
  z.object({
    names: z.array(
      z.object({ said: z.string().nullable(), taken_already: z.array(z.string()).default([]), name: z.string() }),
    ),
  }),
);

for (const { said, taken_already: taken, name } of names) {
  test(`a device that calls itself ${JSON.stringify(said)} is called ${name}`, () => {
    const first = firstName(said ?? undefined, (wanted) => taken.includes(wanted));
    assert.equal(first, name);
    assert.match(first, deviceNamePattern);
  });
}
