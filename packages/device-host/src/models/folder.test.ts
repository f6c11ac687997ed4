import assert from 'node:assert/strict';
import { mkdir, mkdtemp, readdir, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, test } from 'node:test';
import { fakeMachine } from '@lfo/testing/fake-machine.ts';
import { catalogue } from './catalogue.ts';
import { listModels, removeModel } from './folder.ts';
import { writeVerified } from './verified.ts';

const smol = 'SmolLM2-135M-Instruct.Q4_1.gguf';
const smolSha256 = catalogue.find((model) => model.file === smol)?.sha256 ?? '';

let folder = '';
beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), 'lfo-folder-'))));
afterEach(() => rm(folder, { recursive: true, force: true }));

async function stateOf(id: string): Promise<string | undefined> {
  return (await listModels(folder)).find((model) => model.id === id)?.state;
}

test('a folder that is not there shows the catalogue, all of it absent', async () => {
  const models = await listModels(join(folder, 'none'));
  assert.deepEqual(
    models.map((model) => model.id),
    catalogue.map((model) => model.id),
  );
  assert.ok(models.every((model) => model.state === 'absent' && model.bytes > 0));
});

test('the state follows the file: partial, unverified, ready, changed', async () => {
  assert.equal(await stateOf('smollm2-135m'), 'absent');
  await writeFile(join(folder, `${smol}.part`), 'GGUF');
  assert.equal(await stateOf('smollm2-135m'), 'partial');
  await writeFile(join(folder, smol), 'GGUF');
  assert.equal(await stateOf('smollm2-135m'), 'unverified');
  await writeVerified(join(folder, smol), smolSha256);
  assert.equal(await stateOf('smollm2-135m'), 'ready');
  await writeFile(join(folder, smol), 'GGUF and more');
  assert.equal(await stateOf('smollm2-135m'), 'unverified');
});

test('a file verified as something else than the published one is not ready', async () => {
  await writeFile(join(folder, smol), 'GGUF');
  await writeVerified(join(folder, smol), '0'.repeat(64));
  assert.equal(await stateOf('smollm2-135m'), 'unverified');
});

test('other GGUF files are listed after the catalogue with their size', async () => {
  await writeFile(join(folder, 'mine.gguf'), 'GGUF');
  await writeFile(join(folder, 'notes.txt'), '');
  assert.deepEqual((await listModels(folder)).slice(catalogue.length), [
    { id: 'mine.gguf', file: 'mine.gguf', bytes: 4, state: 'own' },
  ]);
});

test('removing takes the file, its record and what a download left, and tells the bytes freed', async () => {
  await writeFile(join(folder, smol), 'GGUF');
  await writeVerified(join(folder, smol), smolSha256);
  await writeFile(join(folder, `${smol}.part`), 'GG');
  await mkdir(join(folder, `${smol}.parts`));
  await writeFile(join(folder, `${smol}.parts`, 'one.bin'), 'GGU');
  await writeFile(join(folder, 'mine.gguf'), 'GGUF');
  assert.equal(await removeModel('smollm2-135m', folder, fakeMachine()), 9);
  assert.deepEqual(await readdir(folder), ['mine.gguf']);
  assert.equal(await removeModel('mine.gguf', folder, fakeMachine()), 4);
  assert.deepEqual(await readdir(folder), []);
});

test('what is not there cannot be removed', async () => {
  await assert.rejects(removeModel('smollm2-135m', folder, fakeMachine()), {
    fault: 'missing',
    message: /models list/,
  });
});

test('a file outside the folder is left alone', async () => {
  const inner = join(folder, 'models');
  await mkdir(inner);
  await writeFile(join(folder, 'mine.gguf'), 'GGUF');
  await assert.rejects(removeModel(join(folder, 'mine.gguf'), inner, fakeMachine()), { fault: 'unknown' });
  await assert.rejects(removeModel('../mine.gguf', inner, fakeMachine()), { fault: 'unknown' });
  assert.ok((await readdir(folder)).includes('mine.gguf'));
});

test('a model that is being fetched is not removed', async () => {
  await writeFile(join(folder, `${smol}.part`), 'GG');
  await writeFile(join(folder, `${smol}.lock`), JSON.stringify({ pid: 1, host: 'here', beat: 0 }));
  await assert.rejects(removeModel('smollm2-135m', folder, fakeMachine()), { fault: 'busy' });
  assert.equal(await stateOf('smollm2-135m'), 'partial');
});
