import assert from 'node:assert/strict';
import { connect } from 'node:net';
import { describe, test, type TestContext } from 'node:test';
import { setTimeout as delay } from 'node:timers/promises';

import { readAnswer } from '@lfo/testing/answer-reader.ts';
import { startTiers, type Tiers, type TiersOptions } from '@lfo/testing/both-tiers.ts';
import { asking, startRouter, type TestRouter } from '@lfo/testing/router.ts';
import { refusingOrigin, ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { eventually } from '@lfo/testing/test-device.ts';
import { FakeOllama } from '@lfo/testing/upstream/fake-ollama.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';

const sure = answerWith({ deltas: ['It', ' is', ' 4', '.'], logprobs: [-0.05, -0.02, -0.01, -0.02] });
const unsure = answerWith({ deltas: ['Syd', 'ney', '.'], logprobs: [-1.9, -1.2, -0.9] });
const fromCloud = answerWith({ deltas: ['Canberra'] });

const bothTiers = (t: TestContext, more: TiersOptions = {}): Promise<Tiers> =>
  startTiers(t, { cloud: fromCloud, ...more });

const content = (answer: { json: unknown }): unknown => at(answer.json, 'choices', 0, 'message', 'content');
const metadata = (answer: { json: unknown }, ...path: (string | number)[]): unknown =>
  at(answer.json, 'lfo_metadata', ...path);

describe('one request, end to end', () => {
  test('a sure local answer is given, and says why', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    local.always(sure);
    const answer = await router.chat(asking('What is 2+2?', { metadata: { mode: 'auto' } }));
    assert.equal(answer.status, 200);
    assert.equal(content(answer), 'It is 4.');
    assert.equal(metadata(answer, 'route'), 'local');
    assert.equal(metadata(answer, 'backend'), 'near');
    assert.equal(metadata(answer, 'routing_reason'), 'confident');
    assert.ok(Number(metadata(answer, 'confidence')) >= 0.7);
    assert.equal(answer.headers['x-lfo-route'], 'local');
    assert.equal(answer.headers['x-lfo-egress'], 'none');
    assert.equal(cloud.requests.length, 0);
  });

  test('an unsure local answer is replaced by the cloud and never shown', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    local.always(unsure);
    for (const stream of [false, true]) {
      const answer = stream
        ? await router.stream(asking('Capital of Australia?'))
        : await router.chat(asking('Capital of Australia?'));
      assert.equal(answer.status, 200);
      assert.equal(answer.headers['x-lfo-route'], 'cloud');
      assert.equal(answer.headers['x-lfo-egress'], 'far');
      assert.equal(answer.headers['x-lfo-reason'], 'low_confidence');
      assert.match(answer.text, /Canberra/);
      assert.doesNotMatch(answer.text, /Syd/);
    }
    assert.equal(cloud.requests.length, 2);
    const answer = await router.chat(asking('Capital of Australia?'));
    assert.deepEqual(
      [metadata(answer, 'attempts', 0, 'outcome'), metadata(answer, 'attempts', 1, 'outcome')],
      ['escalated', 'answered'],
    );
    assert.ok(Number(metadata(answer, 'attempts', 0, 'score')) < 0.7);
  });

  test('a drained backend is given nothing until it is resumed', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    local.always(sure);
    assert.equal((await router.request('POST', '/dashboard/api/fleet/near/drain', {})).status, 204);
    assert.equal((await router.chat(asking('What is 2+2?'))).headers['x-lfo-route'], 'cloud');
    const refused = await router.chat(asking('What is 2+2?', { model: 'lfo-local' }));
    assert.deepEqual([refused.status, at(refused.json, 'error', 'code')], [503, 'no_backend_available']);
    assert.equal(local.chats.length, 0);
    assert.equal(cloud.requests.length, 1);
    assert.equal((await router.request('POST', '/dashboard/api/fleet/near/resume', {})).status, 204);
    assert.equal((await router.chat(asking('What is 2+2?'))).headers['x-lfo-route'], 'local');
  });

  test('an unsure answer is given in local mode, with its confidence, and nothing leaves', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    local.always(unsure);
    const answer = await router.chat(asking('Capital of Australia?', { model: 'lfo-local' }));
    assert.equal(content(answer), 'Sydney.');
    assert.equal(metadata(answer, 'routing_reason'), 'mode_local');
    assert.equal(metadata(answer, 'degraded'), false);
    assert.ok(Number(metadata(answer, 'confidence')) < 0.7);
    assert.equal(cloud.requests.length, 0);
  });

  test('local mode stays local whatever fails', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    local.always((exchange) => exchange.json(500, { error: { message: 'broken' } }));
    const answer = await router.chat(asking('Hello', { metadata: { mode: 'local' } }));
    assert.equal(answer.status, 502);
    assert.equal(at(answer.json, 'error', 'code'), 'upstream_error');
    assert.equal(answer.headers['x-lfo-egress'], 'none');
    assert.equal(cloud.requests.length, 0);
  });

  test('a failing local tier hands over to the cloud in auto', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    local.always((exchange) => exchange.json(500, { error: { message: 'broken' } }));
    const answer = await router.chat(asking('Hello'));
    assert.equal(content(answer), 'Canberra');
    assert.equal(metadata(answer, 'routing_reason'), 'local_failed');
    assert.equal(cloud.requests.length, 1);
  });

  test('without a cloud the unsure answer is given and marked as degraded', async (t) => {
    const local = await ScriptedUpstream.start(unsure);
    t.after(() => local.close());
    const router = await startRouter(t, {
      yaml: `backends:\n  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small] }\n`,
    });
    const answer = await router.chat(asking('Capital of Australia?'));
    assert.equal(content(answer), 'Sydney.');
    assert.equal(metadata(answer, 'degraded'), true);
    assert.equal(metadata(answer, 'routing_reason'), 'degraded');
    assert.deepEqual(metadata(answer, 'reasons'), [
      'degraded',
      'low_confidence',
      'local_first',
      'cloud_not_configured',
    ]);
  });

  test('with the cloud unreachable the unsure answer is given and marked as degraded', async (t) => {
    const { router, local } = await bothTiers(t, { cloudOrigin: await refusingOrigin() });
    local.always(unsure);
    const answer = await router.chat(asking('Capital of Australia?'));
    assert.equal(answer.status, 200);
    assert.equal(content(answer), 'Sydney.');
    assert.equal(metadata(answer, 'route'), 'local');
    assert.equal(metadata(answer, 'degraded'), true);
    const reasons = metadata(answer, 'reasons');
    assert.ok(Array.isArray(reasons) && reasons.includes('cloud_failed') && reasons.includes('low_confidence'));
  });

  test('a local answer after a failed cloud says which cloud had the prompt', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    local.always(unsure);
    cloud.always((exchange) => exchange.json(500, { error: { message: 'broken' } }));
    const answer = await router.chat(asking('Capital of Australia?'));
    assert.equal(answer.headers['x-lfo-route'], 'local');
    assert.deepEqual([answer.headers['x-lfo-egress'], metadata(answer, 'egress')], ['far', 'far']);
  });

  test('the time a client takes to send its body is no overhead of ours', async (t) => {
    const { router, local } = await bothTiers(t);
    local.always(sure);
    const body = JSON.stringify(asking('What is 2+2?'));
    const { hostname, port } = new URL(router.app.url);
    const socket = connect(Number(port), hostname);
    t.after(() => socket.destroy());
    const head = `POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\nconnection: close\r\ncontent-length: ${Buffer.byteLength(body)}\r\n\r\n`;
    socket.write(head + body.slice(0, 10));
    await delay(2_000);
    socket.write(body.slice(10));
    let text = '';
    for await (const chunk of socket.setEncoding('utf8')) text += chunk;
    const overheadMs = Number(/x-lfo-overhead-ms: ([\d.]+)/.exec(text)?.[1]);
    assert.ok(overheadMs < 2_000, `${overheadMs} ms`);
  });

  test('a long prompt goes straight to the cloud in auto and stays in local mode', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    local.always(sure);
    const long = asking('word '.repeat(3000));
    const auto = await router.chat(long);
    assert.equal(metadata(auto, 'route'), 'cloud');
    assert.equal(metadata(auto, 'routing_reason'), 'prompt_too_long');
    assert.equal(local.requests.filter(({ method }) => method === 'POST').length, 0);
    const here = await router.chat({ ...long, model: 'lfo-local' });
    assert.equal(metadata(here, 'route'), 'local');
    assert.equal(cloud.requests.length, 1);
  });

  test('a model id pins its backend', async (t) => {
    const { router, local, cloud } = await bothTiers(t);
    local.always(unsure);
    const pinned = await router.chat(asking('Hello', { model: 'small' }));
    assert.equal(metadata(pinned, 'route'), 'local');
    const far = await router.chat(asking('Hello', { model: 'big' }));
    assert.equal(metadata(far, 'backend'), 'far');
    assert.equal(cloud.requests.length, 1);
    const unknown = await router.chat(asking('Hello', { model: 'nobody' }));
    assert.equal(unknown.status, 404);
    assert.equal(at(unknown.json, 'error', 'code'), 'model_not_found');
  });

  test('a model that a local server hands on to a cloud is a cloud model, and the egress names it', async (t) => {
    const { router, local, cloud } = await bothTiers(t, { near: 'models: [small, "large:120b-cloud"]', local: sure });
    const asked = asking('Hello', { model: 'large:120b-cloud' });
    const posts = (): number => local.requests.filter(({ method }) => method === 'POST').length;
    const refused = await router.chat(asked, { 'x-lfo-mode': 'local' });
    assert.equal(at(refused.json, 'error', 'code'), 'mode_conflict', refused.text);
    assert.equal(posts(), 0);
    const answer = await router.chat(asked);
    assert.deepEqual([answer.status, answer.headers['x-lfo-egress']], [200, 'near-cloud']);
    assert.deepEqual([posts(), cloud.requests.length], [1, 0]);
    const home = await router.chat(asking('Hello', { model: 'near/small' }));
    assert.deepEqual([home.headers['x-lfo-egress'], metadata(home, 'backend')], ['none', 'near']);
    assert.equal((await router.chat(asking('Hello', { model: 'near/large:120b-cloud' }))).status, 404);
  });

  test('an alias of a cloud model is a cloud model too, and the egress names it', async (t) => {
    const ollama = await FakeOllama.start({
      'small:latest': undefined,
      'mine:latest': 'gpt-oss:120b',
      'large:120b-cloud': 'large:120b',
    });
    t.after(() => ollama.upstream.close());
    const router = await startRouter(t, {
      yaml: `backends:\n  - { name: near, kind: openai-compatible, tier: local, base_url: "${ollama.origin}/v1", models: [small, mine, "large:120b-cloud"] }\n`,
    });
    const asked = asking('Hello', { model: 'mine' });
    const local = await router.chat(asked, { 'x-lfo-mode': 'local' });
    assert.notEqual(local.status, 200);
    assert.deepEqual([local.headers['x-lfo-egress'] ?? 'none', ollama.sentOut], ['none', []]);
    const listed = async (): Promise<unknown[]> => {
      const { json } = await router.request('GET', '/v1/models');
      return Object.values(at(json, 'data') ?? {}).map(
        (one: unknown) => `${String(at(one, 'id'))} ${String(at(one, 'tier'))}`,
      );
    };
    while (!(await listed()).includes('mine cloud')) await new Promise((resolve) => setTimeout(resolve, 20));
    const answer = await router.chat(asked);
    assert.deepEqual(
      [answer.status, answer.headers['x-lfo-egress'], ollama.sentOut],
      [200, 'near-cloud', ['mine:latest']],
    );
    const refused = await router.chat(asked, { 'x-lfo-mode': 'local' });
    assert.equal(at(refused.json, 'error', 'code'), 'mode_conflict', refused.text);
    const home = await router.chat(asking('Hello', { model: 'small' }));
    assert.deepEqual([home.headers['x-lfo-egress'], metadata(home, 'backend')], ['none', 'near']);
    assert.equal(
      (await router.chat(asking('Hello', { model: 'large:120b-cloud' }))).headers['x-lfo-egress'],
      'near-cloud',
    );
    assert.match(router.log(), /near-cloud/);
  });

  test('a model of both tiers is given by either, and by one where its name says so', async (t) => {
    const { router, cloud } = await bothTiers(t, { near: 'models: [shared]', far: 'models: [shared]', local: unsure });
    const either = await router.chat(asking('Capital of Australia?', { model: 'shared' }));
    assert.deepEqual([content(either), metadata(either, 'attempts', 0, 'backend')], ['Canberra', 'near']);
    const near = await router.chat(asking('Capital of Australia?', { model: 'near/shared' }));
    assert.deepEqual([content(near), near.headers['x-lfo-egress']], ['Sydney.', 'none']);
    const far = await router.chat(asking('Capital of Australia?', { model: 'far/shared' }));
    assert.deepEqual([content(far), far.headers['x-lfo-egress']], ['Canberra', 'far']);
    assert.equal(cloud.chats.length, 2);
  });

  test('a departed client ends the work upstream', async (t) => {
    const { router, local } = await bothTiers(t);
    local.always((exchange) => exchange.silence());
    const gone = new AbortController();
    const answer = fetchAborting(router, gone.signal);
    for (let seen = 1; !local.requests.some(({ method }) => method === 'POST'); seen++) await local.received(seen);
    gone.abort();
    await answer;
    const exchange = local.exchanges.findLast(({ request }) => request.method === 'POST');
    assert.equal(await exchange?.ended, 'aborted');
  });

  test('a stream cut after its commit point ends in an error frame, not in a stop', async (t) => {
    const { router, cloud } = await bothTiers(t);
    cloud.always(async (exchange) => {
      exchange.head(200, { 'content-type': 'text/event-stream' });
      await exchange.write(
        'data: {"id":"x","model":"big","choices":[{"index":0,"delta":{"role":"assistant","content":"Half"}}]}\n\n',
      );
      await exchange.pause(20);
      exchange.reset();
    });
    const answer = await router.stream(asking('Hello', { model: 'lfo-cloud' }));
    assert.equal(answer.status, 200);
    assert.equal(answer.isDone, false);
    const last = answer.chunks.at(-1);
    assert.equal(at(last, 'error', 'code'), 'upstream_cut');
    assert.ok(answer.chunks.every((chunk) => at(chunk, 'choices', 0, 'finish_reason') !== 'stop'));
  });

  test('a deadline ends the request with 504', async (t) => {
    const { router, local } = await bothTiers(t);
    local.always((exchange) => exchange.silence());
    const answer = await router.chat(asking('Hello', { model: 'lfo-local' }), { 'x-lfo-deadline-ms': '150' });
    assert.equal(answer.status, 504);
    assert.equal(at(answer.json, 'error', 'code'), 'deadline_exceeded');
  });

  test('the time-out of an SDK ends a stream that has not begun, and leaves one that has', async (t) => {
    const { router, local } = await bothTiers(t);
    local.always((exchange) => exchange.silence());
    const sdk = { 'x-stainless-timeout': '0.15' };
    const late = await router.stream(asking('Hello', { model: 'lfo-local' }), sdk);
    assert.equal(late.status, 504);
    assert.equal(at(late.json, 'error', 'code'), 'deadline_exceeded');
    local.always(answerWith({ deltas: ['One', ' two', ' three'], paceMs: 150 }));
    const slow = await router.stream(asking('Hello', { model: 'small' }), { 'x-stainless-timeout': '0.4' });
    assert.equal(slow.isDone, true);
  });

  test('the explanation matches what then happens', async (t) => {
    const { router } = await bothTiers(t);
    const explained = await router.request('POST', '/v1/route', asking('Hello'));
    assert.equal(explained.status, 200);
    assert.equal(at(explained.json, 'route'), 'local');
    assert.equal(at(explained.json, 'attempts', 0, 'backend'), 'near');
    assert.equal(at(explained.json, 'attempts', 0, 'gated'), true);
    assert.equal(at(explained.json, 'attempts', 1, 'tier'), 'cloud');
  });
});

describe('the embedded model', () => {
  test('its process may be killed in mid-stream: an error frame, and the next request is served', async (t) => {
    const router = await startRouter(t, {
      env: { LFO_LOCAL_MODEL: 'smollm2-135m' },
      childOptions: { engine: 'scripted', scripted: { partMs: 20, words: 200 } },
    });
    await router.ready;
    const cut = readAnswer(t, router, asking('Hello', { model: 'lfo-local' }));
    const pid = await childPid(router);
    await cut.has(' 3');
    process.kill(pid, 'SIGKILL');
    const answer = await cut.over;
    assert.equal(answer.isDone, false);
    assert.equal(at(answer.chunks.at(-1), 'error', 'code'), 'upstream_cut');
    const next = await router.chat(asking('Again', { model: 'lfo-local', max_tokens: 3 }));
    assert.equal(next.status, 200);
    assert.equal(metadata(next, 'backend'), 'embedded');
  });

  test('stopped and never continued: auto goes to the cloud, /ready and the dashboard say so, another takes over', async (t) => {
    const cloud = await ScriptedUpstream.start(fromCloud);
    t.after(() => cloud.close());
    const router = await startRouter(t, {
      env: { LFO_LOCAL_MODEL: 'smollm2-135m' },
      childOptions: { engine: 'scripted', scripted: { words: 3 } },
      yaml: `backends: [{ name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big] }]`,
    });
    const pid = await childPid(router);
    process.kill(pid, 'SIGSTOP');
    // One after the other: two in a row of which nothing is said end it.
    for (let request = 0; request < 2; request++) {
      const answer = await router.chat(asking('Hello'));
      assert.deepEqual([answer.status, content(answer)], [200, 'Canberra']);
    }
    assert.match((await router.request('GET', '/ready')).text, /embedded: The /);
    const { json } = await router.request('GET', '/dashboard/api/fleet');
    const backends: unknown = at(json, 'backends');
    assert.ok(Array.isArray(backends));
    const shown: unknown = backends.find((backend) => at(backend, 'id') === 'embedded');
    assert.notEqual(at(shown, 'state'), 'ready', JSON.stringify(shown));
    await eventually(async () => {
      const next = await router.chat(asking('Again', { model: 'lfo-local' }));
      return metadata(next, 'backend') === 'embedded' ? true : undefined;
    }, 'another process');
    assert.notEqual(await childPid(router), pid);
  });
});

async function fetchAborting(router: TestRouter, signal: AbortSignal): Promise<void> {
  const { request } = await import('undici');
  const body = JSON.stringify(asking('Hello', { model: 'lfo-local' }));
  await assert.rejects(
    request(`${router.app.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body,
      signal,
    }),
  );
}

/** The one child of this process that hosts a model (proc(5)). */
async function childPid(router: TestRouter): Promise<number> {
  const { readFileSync } = await import('node:fs');
  await router.ready;
  const children = readFileSync(`/proc/self/task/${process.pid}/children`, 'utf8').trim().split(' ');
  const host = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('lfo-device-host'));
  assert.ok(host);
  return Number(host);
}
