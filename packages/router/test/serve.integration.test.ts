import assert from 'node:assert/strict';
import { mkdirSync, statSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { test } from 'node:test';
import { runLfo, startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';

function records(stdout: string): Record<string, unknown>[] {
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
}

test(
  'serve off a terminal prints JSON lines alone, reloads, and ends with 0 on SIGTERM',
  { timeout: 60_000 },
  async (t) => {
    const cwd = workingFolder(t);
    const file = join(cwd, 'lfo.yaml');
    writeFileSync(file, 'routing: { max_local_tokens: 1 }\n');
    const lfo = startLfo(t, ['serve'], { cwd, env: { PORT: '0' } });
    await lfo.output(/cannot answer: No model is configured/);
    assert.equal(statSync(join(cwd, 'data')).mode & 0o777, 0o700);
    writeFileSync(file, 'routing: { max_local_tokens: 2 }\n');
    await lfo.output(/reloaded/);
    writeFileSync(file, 'routing: { max_local_tokens: x }\n');
    await lfo.output(/the old one stays in force/);
    lfo.child.kill('SIGHUP');
    await lfo.output(/stays in force[^]*stays in force/);
    lfo.child.kill('SIGTERM');
    const { code, stdout, stderr } = await lfo.finished;
    assert.equal(code, 0);
    assert.equal(stderr, '');
    const refused = records(stdout).find(({ level }) => level === 'error');
    assert.match(JSON.stringify(refused), /lfo\.yaml:1 routing\.max_local_tokens: must be a number/);
  },
);

test('serve beyond loopback without a key is refused before it listens', async (t) => {
  const { code, stdout, stderr } = await runLfo(t, ['serve'], {
    cwd: workingFolder(t),
    env: { HOST: '0.0.0.0', PORT: '0' },
  });
  assert.equal(code, 2);
  assert.equal(stderr, '');
  const [record, ...rest] = records(stdout);
  assert.deepEqual(rest, []);
  assert.equal(record?.['level'], 'fatal');
  assert.match(String(record?.['msg']), /set LFO_AUTH_TOKEN/);
});

test('a copy of keys without keys does not open other addresses', { timeout: 60_000 }, async (t) => {
  const cwd = workingFolder(t);
  mkdirSync(join(cwd, 'data'), { mode: 0o700 });
  writeFileSync(join(cwd, 'data', 'keys.json'), '{}');
  const { code, stdout } = await runLfo(t, ['serve'], { cwd, env: { HOST: '0.0.0.0', PORT: '0' } });
  assert.equal(code, 2);
  const fatal = records(stdout).filter(({ level }) => level === 'fatal');
  assert.equal(fatal.length, 1);
  assert.match(String(fatal[0]?.['msg']), /can be reached from other machines: .*lfo keys create/);
});

test('serve on a taken port says so', { timeout: 60_000 }, async (t) => {
  const taken = createServer();
  await new Promise<void>((resolve) => taken.listen(0, '127.0.0.1', resolve));
  t.after(() => taken.close());
  const address = taken.address();
  assert.ok(typeof address === 'object' && address !== null);
  const { code, stdout } = await runLfo(t, ['serve'], { cwd: workingFolder(t), env: { PORT: String(address.port) } });
  assert.equal(code, 1);
  assert.match(stdout, /"level":"fatal".*Port \d+ is taken/);
});

test(
  'LFO is called ready once something can answer; until then it says what is wrong and how to mend it',
  { timeout: 120_000 },
  async (t) => {
    // It keeps its port throughout: another process would take one that was given back.
    let isUp = false;
    const models = createServer((socket) => {
      const body = '{"object":"list","data":[{"id":"m","object":"model"}]}';
      socket.on('error', () => {});
      if (!isUp) socket.destroy();
      socket.once('data', () =>
        socket.end(
          `HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\nconnection: close\r\n\r\n${body}`,
        ),
      );
    });
    await new Promise<void>((resolve) => models.listen(0, '127.0.0.1', resolve));
    t.after(() => models.close());
    const address = models.address();
    assert.ok(typeof address === 'object' && address !== null);
    const cwd = workingFolder(t);
    const server = `{ name: near, kind: openai-compatible, tier: local, base_url: "http://127.0.0.1:${address.port}/v1" }`;
    writeFileSync(join(cwd, 'lfo.yaml'), `backends: [${server}]\n`);
    const lfo = startLfo(t, ['serve'], { cwd, env: { PORT: '0', LFO_LOCAL_MODEL: './model.gguf' } });
    const missing = await lfo.output(/cannot answer: There is no model file model\.gguf\./);
    assert.doesNotMatch(missing, /LFO is ready/);
    assert.match(missing, /Fix: [A-Z]/);
    // What is wrong with the file now is another thing to say.
    writeFileSync(join(cwd, 'model.gguf'), 'no model at all');
    isUp = true;
    await lfo.output(/"msg":"LFO is ready\."/);
    isUp = false;
    await lfo.output(/ready\.[^]*cannot answer: [^\n]*(model\.gguf|near)/);
  },
);
