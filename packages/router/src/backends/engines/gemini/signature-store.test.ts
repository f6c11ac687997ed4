import assert from 'node:assert/strict';
import { test } from 'node:test';
import type { JournalEntry } from '../../../core/journal.ts';
import { BoundedSignatureStore } from './signature-store.ts';

const call = { id: 'call-1', name: 'look', arguments: '{"a":1,"b":{"d":2,"c":3}}' };

test('a call is found by its rewritten id, or by its name and arguments in any order', () => {
  const store = new BoundedSignatureStore();
  store.put('alice', call, 'sig');
  assert.equal(store.get('alice', { ...call, id: 'call_1', arguments: '' }), 'sig');
  const reordered = { ...call, id: 'lost', arguments: ' {"b":{"c":3,"d":2}, "a":1}' };
  assert.equal(store.get('alice', reordered), 'sig');
  assert.equal(store.get('alice', reordered, 'id'), undefined);
  assert.equal(store.get('alice', { ...reordered, name: 'other' }), undefined);
});

test('one client never sees the signatures of another', () => {
  const store = new BoundedSignatureStore();
  store.put('alice', call, 'sig');
  assert.equal(store.get('bob', call), undefined);
  assert.equal(store.get(undefined, call), undefined);
});

test('the least recently used go first, by number and by size', () => {
  for (const limits of [
    { entries: 4, characters: 1_000 },
    { entries: 100, characters: 12 },
  ]) {
    const store = new BoundedSignatureStore(limits);
    const other = (id: string): typeof call => ({ id, name: id, arguments: '{}' });
    store.put('k', other('one'), 'abc');
    store.put('k', other('two'), 'abc');
    assert.equal(store.get('k', other('one'), 'id'), 'abc');
    assert.equal(store.get('k', { ...other('one'), id: '?' }), 'abc');
    store.put('k', other('three'), 'abc');
    assert.equal(store.get('k', other('one')), 'abc');
    assert.equal(store.get('k', other('two')), undefined);
    assert.equal(store.size, 4);
  }
});

test('the journal restores what was kept, and holds no arguments', async () => {
  const saved: JournalEntry[] = [];
  const journal = { load: () => Promise.resolve(saved), append: (entry: JournalEntry) => void saved.push(entry) };
  new BoundedSignatureStore(undefined, journal).put('alice', { ...call, arguments: '{"secret":"canary"}' }, 'sig');
  assert.doesNotMatch(JSON.stringify(saved), /canary|alice|call/);
  const restored = new BoundedSignatureStore(undefined, journal);
  const restoring = restored.restore();
  assert.ok(restored.restoring);
  await restoring;
  assert.equal(restored.get('alice', call), 'sig');
  await restored.restoring;
  assert.equal(restored.restoring, undefined);
});

test('what another router has kept is read by key, once, and none of it belongs to another client', async () => {
  const kept = new Map<string, string>();
  let asked = 0;
  const journal = {
    load: async () => [],
    append: ({ key, value }: { readonly key: string; readonly value: string }) => void kept.set(key, value),
    async find(keys: readonly string[]) {
      asked++;
      return keys.flatMap((key) => (kept.has(key) ? [{ key, value: kept.get(key) ?? '' }] : []));
    },
  };
  const [one, other] = [new BoundedSignatureStore(undefined, journal), new BoundedSignatureStore(undefined, journal)];
  const signed = { id: 'call_1', name: 'look', arguments: '{"a":1}' };
  one.put('k', signed, 'opaque');
  assert.equal(other.get('k', signed), undefined);
  await other.fetch('someone else', [signed]);
  assert.equal(other.get('someone else', signed), undefined);
  await other.fetch('k', [signed]);
  assert.equal(other.get('k', signed), 'opaque');
  assert.equal(other.fetch('k', [signed]), undefined);
  assert.equal(asked, 2);
  assert.equal(new BoundedSignatureStore().fetch('k', [signed]), undefined);
});
