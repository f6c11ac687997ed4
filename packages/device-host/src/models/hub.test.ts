import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fakeMachine } from '@lfo/testing/fake-machine.ts';
import { scriptedHub, type ScriptedHub } from '@lfo/testing/scripted-hub.ts';
import { tinyGguf } from '@lfo/testing/tiny-gguf.ts';
import { fetchFromHub, hubUrl, isSafeRedirect, type HubDownload, type HubResult } from './hub.ts';
import type { Machine } from './machine.ts';

const content = tinyGguf({ elements: 20_000 });
const sha256 = createHash('sha256').update(content).digest('hex');
const never = new AbortController().signal;

let folder = '';
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'lfo-hub-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

function fetchIt(
  hub: Pick<ScriptedHub, 'url'>,
  machine: Machine = fakeMachine(),
  overrides: Partial<HubDownload> = {},
): Promise<HubResult> {
  const url = hubUrl(hub.url, { repository: 'owner/name', file: 'model.gguf' });
  return fetchFromHub({ url, part: part(), onBytes: () => {}, ...overrides }, machine, never);
}

function part(): string {
  return join(folder, 'model.part');
}

test('a file is fetched whole, hashed on the way, with progress up to its size', async () => {
  await using hub = await scriptedHub(content);
  const seen: (readonly [number, number])[] = [];
  const result = await fetchIt(hub, fakeMachine(), { bytes: content.length, onBytes: (...both) => seen.push(both) });
  assert.deepEqual(result, { sha256 });
  assert.deepEqual(await readFile(part()), content);
  assert.deepEqual(seen.at(-1), [content.length, content.length]);
  assert.deepEqual(hub.requests, [{ path: '/owner/name/resolve/main/model.gguf', range: undefined }]);
});

test('a base address with a path keeps it', () => {
  const url = hubUrl('https://mirror.example/hub', { repository: 'owner/name', file: 'a/b.gguf' });
  assert.equal(url.href, 'https://mirror.example/hub/owner/name/resolve/main/a/b.gguf');
});

test('a download cut in the middle goes on where it was cut', async () => {
  await using hub = await scriptedHub(content, [{ type: 'cut', after: 30_000 }, { type: 'give' }]);
  assert.deepEqual(await fetchIt(hub), { sha256 });
  assert.deepEqual(await readFile(part()), content);
  const [, second] = hub.requests;
  assert.match(second?.range ?? '', /^bytes=[1-9]\d*-$/);
});

test('what an earlier run left is not fetched again', async () => {
  await writeFile(part(), content.subarray(0, 50_000));
  await using hub = await scriptedHub(content);
  assert.deepEqual(await fetchIt(hub), { sha256 });
  assert.deepEqual(
    hub.requests.map(({ range }) => range),
    ['bytes=50000-'],
  );
});

test('a part that is whole already needs no byte', async () => {
  await writeFile(part(), content);
  await using hub = await scriptedHub(content);
  assert.deepEqual(await fetchIt(hub), { sha256 });
});

test('a part longer than the file is thrown away and fetched anew', async () => {
  await writeFile(part(), Buffer.alloc(content.length + 10));
  await using hub = await scriptedHub(content);
  assert.deepEqual(await fetchIt(hub), { sha256 });
  assert.deepEqual(
    hub.requests.map(({ range }) => range),
    [`bytes=${content.length + 10}-`, undefined],
  );
});

test('a server that ignores the range makes it start over', async () => {
  await writeFile(part(), content.subarray(0, 50_000));
  await using hub = await scriptedHub(content, [{ type: 'ignore-range' }]);
  assert.deepEqual(await fetchIt(hub), { sha256 });
  assert.deepEqual(await readFile(part()), content);
});

test('a redirect to the content server is followed with the range, and its promised hash is told', async () => {
  await writeFile(part(), content.subarray(0, 100));
  await using store = await scriptedHub(content);
  await using hub = await scriptedHub(content, [
    { type: 'redirect', to: `${store.url}/blob?signed=1`, headers: { 'x-linked-etag': `"${sha256}"` } },
  ]);
  assert.deepEqual(await fetchIt(hub), { sha256, promised: sha256 });
  assert.deepEqual(store.requests, [{ path: '/blob?signed=1', range: 'bytes=100-' }]);
});

test('a relative redirect stays on the hub', async () => {
  await using hub = await scriptedHub(content, [{ type: 'redirect', to: '/elsewhere' }, { type: 'give' }]);
  await fetchIt(hub);
  assert.equal(hub.requests[1]?.path, '/elsewhere');
});

test('redirects end after five', async () => {
  await using hub = await scriptedHub(content, [{ type: 'redirect', to: '/again' }]);
  await assert.rejects(fetchIt(hub), { fault: 'source', message: /redirects too often/ });
  assert.equal(hub.requests.length, 6);
});

test('a redirect never leaves https, nor goes to anything but http', async () => {
  const [plain, safe] = [new URL('http://hub.example'), new URL('https://hub.example')];
  assert.deepEqual(
    [
      isSafeRedirect(safe, safe),
      isSafeRedirect(plain, safe),
      isSafeRedirect(plain, plain),
      isSafeRedirect(safe, plain),
    ],
    [true, true, true, false],
  );
  await using hub = await scriptedHub(content, [{ type: 'redirect', to: 'file:///etc/hostname' }]);
  await assert.rejects(fetchIt(hub), { fault: 'source', message: /not safe to follow/ });
});

for (const [status, message] of [
  [404, /no such file/],
  [401, /accepted its terms/],
  [403, /accepted its terms/],
  [500, /answered 500/],
] as const) {
  test(`status ${status} says what it means`, async () => {
    await using hub = await scriptedHub(content, [{ type: 'status', status }]);
    await assert.rejects(fetchIt(hub), { fault: 'source', message });
    assert.equal(hub.requests.length, 1);
  });
}

test('a mirror that answers 416 to everything is given up', async () => {
  await using hub = await scriptedHub(content, [{ type: 'status', status: 416 }]);
  await writeFile(part(), content.subarray(0, 100));
  await assert.rejects(fetchIt(hub), { fault: 'source', message: /answered 416/ });
  assert.deepEqual(
    hub.requests.map(({ range }) => range),
    ['bytes=100-', undefined],
  );
});

test('a mirror that cuts every download and lets none be resumed is given up', async () => {
  const cut = { type: 'cut', after: 30_000 } as const;
  const refuse = { type: 'status', status: 416 } as const;
  await using hub = await scriptedHub(content, [cut, refuse, cut, refuse, cut, refuse, { type: 'give' }]);
  await assert.rejects(fetchIt(hub), { fault: 'source', message: /cut, and cannot be resumed/ });
  assert.equal(hub.requests.length, 4);
});

test('a log-in page is not taken for a model', async () => {
  await using hub = await scriptedHub(content, [{ type: 'status', status: 200, body: '<html>log in</html>' }]);
  await assert.rejects(fetchIt(hub), { fault: 'source', message: /log-in page/ });
});

test('a file of another size than the published one is refused before it is fetched', async () => {
  await using hub = await scriptedHub(content);
  await assert.rejects(fetchIt(hub, fakeMachine(), { bytes: 7 }), { fault: 'source', message: /another size/ });
});

test('a hub that never answers is given up when its time is over', async () => {
  await using hub = await scriptedHub(content, [{ type: 'silence' }]);
  const started = performance.now();
  await assert.rejects(fetchIt(hub, fakeMachine({ hubAnswerMs: 50 })), {
    fault: 'source',
    message: /cannot be reached/,
  });
  assert.ok(performance.now() - started < 5000);
  assert.equal(hub.requests.length, 1);
});

test('a hub that refuses connections is given up at once', async () => {
  const hub = await scriptedHub(content);
  await hub[Symbol.asyncDispose]();
  await assert.rejects(fetchIt(hub), (error: Error) => {
    assert.match(error.message, /cannot be reached/);
    assert.ok(!error.message.includes('127.0.0.1'));
    return true;
  });
});

test('a disk too small is noticed before the first byte is written', async () => {
  await using hub = await scriptedHub(content);
  const machine = fakeMachine({ freeBytes: () => Promise.resolve(1_000_000) });
  await assert.rejects(fetchIt(hub, machine), { fault: 'no_space', message: /67 MB needed, 1 MB free/ });
  assert.deepEqual(await readdir(folder), []);
});

test('an abort ends a silent download and keeps what came', async () => {
  await using hub = await scriptedHub(content, [{ type: 'cut', after: 30_000 }, { type: 'silence' }]);
  const stop = new AbortController();
  const url = hubUrl(hub.url, { repository: 'owner/name', file: 'model.gguf' });
  const onBytes = (): void => stop.abort(new Error('enough'));
  await assert.rejects(fetchFromHub({ url, part: part(), onBytes }, fakeMachine(), stop.signal), { message: 'enough' });
  assert.ok((await readFile(part())).length > 0);
});
