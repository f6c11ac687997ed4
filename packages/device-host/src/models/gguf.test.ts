import assert from 'node:assert/strict';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { tinyGguf } from '@lfo/testing/tiny-gguf.ts';
import { inspectGguf } from './gguf.ts';

let folder = '';
before(async () => void (folder = await mkdtemp(join(tmpdir(), 'lfo-gguf-'))));
after(() => rm(folder, { recursive: true, force: true }));

async function fileOf(content: Uint8Array): Promise<string> {
  const path = join(folder, 'model.gguf');
  await writeFile(path, content);
  return path;
}

test('the head tells architecture, quantisation and context', async () => {
  const path = await fileOf(tinyGguf({ architecture: 'qwen2', contextTokens: 32_768, fileType: 15 }));
  assert.deepEqual(await inspectGguf(path), { architecture: 'qwen2', contextTokens: 32_768, quant: 'Q4_K_M' });
});

test('a head longer than the first look is read on', async () => {
  const path = await fileOf(tinyGguf({ vocabulary: 120_000 }));
  assert.equal((await inspectGguf(path)).architecture, 'llama');
});

test('a file cut anywhere is incomplete', async () => {
  const whole = tinyGguf();
  for (let length = 4; length < whole.length; length += 7) {
    const path = await fileOf(whole.subarray(0, length));
    await assert.rejects(inspectGguf(path), { fault: 'truncated' }, `cut after ${length}`);
  }
});

test('a file cut in a long vocabulary is incomplete', async () => {
  const path = await fileOf(tinyGguf({ vocabulary: 120_000 }).subarray(0, 1_500_000));
  await assert.rejects(inspectGguf(path), { fault: 'truncated', message: /Copy or download it again/ });
});

test('something else is no GGUF, the empty file included', async () => {
  for (const content of ['', 'GG', '<html>log in</html>', `GGUF${'\u{1}'.repeat(100)}`]) {
    await assert.rejects(inspectGguf(await fileOf(Buffer.from(content))), { fault: 'not_gguf' }, content);
  }
});

test('a missing file and a folder are named without their path', async () => {
  await assert.rejects(inspectGguf(join(folder, 'none.gguf')), (error: Error) => {
    assert.match(error.message, /no model file none\.gguf/);
    assert.ok(!error.message.includes(folder));
    return true;
  });
  await assert.rejects(inspectGguf(folder), { fault: 'missing', message: /is a folder/ });
});
