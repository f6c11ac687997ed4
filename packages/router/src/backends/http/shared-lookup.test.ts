import assert from 'node:assert/strict';
import type { LookupAddress } from 'node:dns';
import { test } from 'node:test';
import { sharedLookup } from './shared-lookup.ts';

test('a name is asked for once while an answer is due, and anew afterwards', async () => {
  const questions: { readonly hostname: string; readonly answer: PromiseWithResolvers<readonly LookupAddress[]> }[] =
    [];
  const addressesOf = sharedLookup((hostname) => {
    const answer = Promise.withResolvers<readonly LookupAddress[]>();
    questions.push({ hostname, answer });
    return answer.promise;
  });
  const both = [addressesOf('a.test'), addressesOf('a.test')];
  const other = addressesOf('b.test');
  assert.deepEqual(
    questions.map(({ hostname }) => hostname),
    ['a.test', 'b.test'],
  );
  const found = [{ address: '192.0.2.1', family: 4 }];
  questions[0]?.answer.resolve(found);
  questions[1]?.answer.reject(new Error('no such name'));
  assert.deepEqual(await Promise.all(both), [found, found]);
  await assert.rejects(other, /no such name/);
  questions.length = 0;
  const again = addressesOf('b.test');
  questions[0]?.answer.resolve([]);
  assert.deepEqual(await again, []);
});
