import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { test } from 'node:test';

import { startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { devicePort } from '@lfo/testing/pairing.ts';
import { startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';

const token = 'token-of-the-operator';

/** What comes back for one line, and whether the connection was closed then. */
function askLine(port: number, line: string | Buffer): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = connect(port, '127.0.0.1', () => socket.write(line));
    let text = '';
    socket.setEncoding('utf8').on('data', (part: string) => (text += part));
    socket.on('close', () => resolve(text)).on('error', reject);
  });
}

function yaml({ origin }: ScriptedUpstream, legacy: boolean): string {
  return `backends:\n  - { name: near, kind: openai-compatible, tier: local, base_url: "${origin}/v1", models: [small] }\nfleet: { legacy: ${legacy} }\n`;
}

const call = { id: 'a', name: 'get_weather', argumentDeltas: ['{"city":"Paris"}'] };
const question = { messages: [{ role: 'user', content: 'Weather in Paris?' }] };

test('one line of JSON over the fleet port is answered with one line, without a key and in mode local', async (t) => {
  const upstream = await ScriptedUpstream.start(answerWith({ deltas: ['It', ' is', ' sunny.'] }));
  t.after(() => upstream.close());
  const env = { LFO_FLEET_LISTEN: '127.0.0.1:0', LFO_AUTH_TOKEN: token };
  const router = await startRouter(t, { yaml: yaml(upstream, true), env });
  const admin = { authorization: `Bearer ${token}` };
  const port = await devicePort(router, admin);
  const ask = async (line: string | Buffer): Promise<unknown> => JSON.parse(await askLine(port, line));

  const answer = await ask(`${JSON.stringify(question)}\r\n`);
  assert.equal(at(answer, 'text'), 'It is sunny.');
  assert.equal(typeof at(answer, 'total_time_ms'), 'number');
  assert.equal(typeof at(answer, 'cloud_handoff'), 'boolean');
  assert.equal(at(upstream.requests.at(-1)?.json, 'max_tokens'), 256);

  upstream.always(answerWith({ deltas: [], toolCalls: [call] }));
  const tools = [{ name: 'get_weather', description: 'w', parameters: { type: 'object', properties: {} } }];
  assert.deepEqual(at(await ask(`${JSON.stringify({ ...question, tools })}\n`), 'function_calls'), [
    { name: 'get_weather', arguments: { city: 'Paris' } },
  ]);
  assert.deepEqual(await ask('{nonsense\n'), { error: 'Invalid JSON' });
  assert.deepEqual(await ask('{"messages":"hi"}\n'), { error: 'messages must be an array' });
  assert.match(String(at(await ask('{"messages":[]}\n'), 'error')), /messages/);
  assert.equal(await askLine(port, Buffer.alloc(1024 * 1024 + 2, '{')), '', 'a line without an end is closed');
  // The key of the router is not what opened it.
  assert.equal((await router.request('GET', '/v1/models')).status, 401);
  // A device that dials is greeted as ever.
  const { json } = await router.request('POST', '/admin/devices/pairings', {}, admin);
  const device = startLfo(
    t,
    ['device', '--engine', 'scripted', '--name', 'laptop', '--json', '--pair', String(at(json, 'uri'))],
    { cwd: workingFolder(t) },
  );
  await device.output(/"event":"connected"/);
  device.child.kill('SIGTERM');
  await device.finished;
});

test('without fleet.legacy such a line is a foreign byte and closed', async (t) => {
  const upstream = await ScriptedUpstream.start();
  t.after(() => upstream.close());
  const router = await startRouter(t, { yaml: yaml(upstream, false), env: { LFO_FLEET_LISTEN: '127.0.0.1:0' } });
  const port = await devicePort(router);
  assert.equal(await askLine(port, `${JSON.stringify(question)}\n`), '');
});

test('lfo bridge answers POST /completion by the router', async (t) => {
  const upstream = await ScriptedUpstream.start(answerWith({ deltas: ['Sunny.'] }));
  t.after(() => upstream.close());
  const router = await startRouter(t, { yaml: yaml(upstream, false), env: { LFO_AUTH_TOKEN: token } });
  const cwd = workingFolder(t);
  const run = startLfo(t, ['bridge', '--port', '0', '--router', router.app.url], {
    cwd,
    env: { LFO_AUTH_TOKEN: token },
  });
  const [, url = ''] = /(http:\S+)/.exec(await run.output(/completion/)) ?? [];
  const post = async (body: string, headers = {}): Promise<{ status: number; json: unknown }> => {
    const response = await fetch(url, { method: 'POST', body, headers });
    return { status: response.status, json: await response.json() };
  };
  const answer = await post(JSON.stringify(question));
  assert.equal(answer.status, 200);
  assert.equal(at(answer.json, 'text'), 'Sunny.');
  assert.deepEqual(await post('{"messages":7}'), { status: 400, json: { error: 'messages must be an array' } });
  assert.equal((await post('x'.repeat(2_000_001))).status, 413);
  assert.equal((await post(JSON.stringify(question), { origin: 'http://page.example' })).status, 403);
  upstream.always((exchange) => exchange.json(500, {}));
  const failed = await post(JSON.stringify(question));
  assert.equal(failed.status, 502);
  assert.doesNotMatch(JSON.stringify(failed.json), /127\.0\.0\.1|localhost/);
  await router.app.close();
  assert.deepEqual(await post(JSON.stringify(question)), { status: 502, json: { error: 'LFO does not answer.' } });
  run.child.kill('SIGTERM');
  assert.equal((await run.finished).code, 0);
  const open = await startLfo(t, ['bridge', '--host', '0.0.0.0', '--port', '0'], { cwd }).finished;
  assert.equal(open.code, 2);
  assert.match(open.stderr, /listens on this machine alone/);
});
