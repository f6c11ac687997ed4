import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BackendError } from '../../core/errors.ts';
import { readJsonBody, readTextBody } from './json-body.ts';

const limits = { backend: 'b', maxBytes: 100 };

async function* reads(...texts: (string | Uint8Array)[]): AsyncGenerator<Uint8Array, void> {
  for (const text of texts) yield typeof text === 'string' ? new TextEncoder().encode(text) : text;
}

const isBadAnswer = (error: unknown): boolean => error instanceof BackendError && error.fault === 'bad_answer';

test('a body split anywhere, even inside a character, reads as one', async () => {
  const euro = new TextEncoder().encode('"€"');
  assert.equal(await readJsonBody(reads(euro.subarray(0, 2), euro.subarray(2)), limits), '€');
  assert.deepEqual(await readJsonBody(reads('{"a":', '1}'), limits), { a: 1 });
});

test('HTML, cut JSON and an empty body are bad answers that quote nothing', async () => {
  for (const text of ['<html>secret</html>', '{"a": "secret', '']) {
    await assert.rejects(readJsonBody(reads(text), limits), (error: unknown) => {
      assert.ok(isBadAnswer(error));
      assert.doesNotMatch(String(error), /secret/);
      return true;
    });
  }
});

test('reading stops at the cap and ends the body', async () => {
  let sent = 0;
  let ended = false;
  async function* endless(): AsyncGenerator<Uint8Array, void> {
    try {
      while (true) {
        sent += 10;
        yield new Uint8Array(10);
      }
    } finally {
      ended = true;
    }
  }
  await assert.rejects(readTextBody(endless(), limits), isBadAnswer);
  assert.equal(sent, 110);
  assert.equal(ended, true);
});

test('what the body throws passes through', async () => {
  const cut = new BackendError('cut', { fault: 'cut', backend: 'b' });
  async function* broken(): AsyncGenerator<Uint8Array, void> {
    yield new Uint8Array(1);
    throw cut;
  }
  await assert.rejects(readTextBody(broken(), limits), cut);
});
