import assert from 'node:assert/strict';
import { test } from 'node:test';
import { ForeignAddressError, ForeignResolverError, localLookup, type NameSources } from './local-lookup.ts';

const answers: Readonly<Record<string, readonly string[]>> = {
  'nas.lan': ['192.168.1.7'],
  'half.lan': ['192.168.1.7', '192.0.2.1'],
  'away.example': ['192.0.2.1'],
};

function names(resolvers: readonly string[]): NameSources & { readonly asked: string[] } {
  const asked: string[] = [];
  return {
    asked,
    resolvers: () => resolvers,
    ask: async (hostname) => {
      asked.push(hostname);
      return (answers[hostname] ?? []).map((address) => ({ address, family: 4 }));
    },
    hosts: async () => '# comment\n192.168.1.9 box box.lan # mine\n192.0.2.9 outside\nnonsense box\n',
  };
}

const find = (sources: NameSources, hostname: string) => localLookup(sources)(hostname);

test('a name server of the own network is asked', async () => {
  for (const resolver of ['192.168.1.1', '127.0.0.53', '10.0.0.2:5353', '::1', '[fd00::1]:5353']) {
    const sources = names([resolver]);
    assert.deepEqual(await find(sources, 'nas.lan'), [{ address: '192.168.1.7', family: 4 }]);
    assert.deepEqual(sources.asked, ['nas.lan']);
  }
});

test('a public name server is never asked, not even beside a local one', async () => {
  for (const resolvers of [['192.0.2.53'], ['192.168.1.1', '192.0.2.53'], ['[2001:db8::1]:53']]) {
    const sources = names(resolvers);
    await assert.rejects(find(sources, 'nas.lan'), ForeignResolverError);
    await assert.rejects(find(sources, 'outside'), ForeignAddressError);
    assert.deepEqual(await find(sources, 'BOX.lan'), [{ address: '192.168.1.9', family: 4 }]);
    assert.deepEqual(sources.asked, []);
  }
});

test('names that are never public are never asked for', async () => {
  const sources = names(['192.168.1.1']);
  for (const hostname of ['localhost', 'LOCALHOST', 'model.localhost', 'localhost.']) {
    assert.equal((await find(sources, hostname)).length, 2);
  }
  await assert.rejects(find(sources, 'nobody.Invalid'), { code: 'ENOTFOUND' });
  assert.deepEqual(sources.asked, []);
});

test('a name that leads outside, wholly or in part, or nowhere is refused', async () => {
  for (const hostname of ['away.example', 'half.lan', 'nowhere.lan']) {
    await assert.rejects(find(names(['192.168.1.1']), hostname), ForeignAddressError);
  }
});
