import assert from 'node:assert/strict';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { test, type TestContext } from 'node:test';

import { startTiers, type Tiers } from '@lfo/testing/both-tiers.ts';
import { asking, type TestRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith, type OpenaiAnswer } from '@lfo/testing/upstream/openai-answer.ts';

const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Weather of a city.',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};

const calling = (city: string, id = 'call_1'): OpenaiAnswer => ({
  deltas: [],
  toolCalls: [{ id, name: 'get_weather', argumentDeltas: [`{"city":"${city}"}`] }],
});

const bothTiers = (t: TestContext, near: OpenaiAnswer, far: OpenaiAnswer, settings = ''): Promise<Tiers> =>
  startTiers(t, { local: answerWith(near), cloud: answerWith(far), settings });

type Row = Readonly<Record<string, unknown>>;

/** Rows of a table once there are so many. */
async function rowsOf(router: TestRouter, table: string, count: number): Promise<readonly Row[]> {
  for (let tries = 0; ; tries += 1) {
    const rows = readNow(router, table);
    if (rows.length >= count || tries === 400) return rows;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** None while the router is still making the database. */
function readNow(router: TestRouter, table: string): readonly Row[] {
  try {
    const database = new DatabaseSync(join(router.folder, 'data', 'lfo.db'), { readOnly: true });
    try {
      return database.prepare(`select * from ${table} order by id`).all();
    } finally {
      database.close();
    }
  } catch {
    return [];
  }
}

const asksWeather = asking('Weather in Paris?', { tools: [weather] });
const strictly = { ...asksWeather, metadata: { confidence_threshold: '1' } };

test('an escalated call gets a row of its own and, beside the answer of the cloud, a label', async (t) => {
  const { router } = await bothTiers(t, calling('Paris'), calling('paris'));
  const answer = await router.chat(strictly);
  assert.equal(answer.headers['x-lfo-route'], 'cloud');
  const [row] = await rowsOf(router, 'judgements', 1);
  assert.ok(row !== undefined);
  const id = at(answer.json, 'lfo_metadata', 'request_id');
  assert.equal(row['request_id'], id);
  assert.deepEqual(
    [row['policy'], row['verdict'], row['threshold'], row['estimator'], row['is_prior'], row['outcome']],
    ['judge', 'escalate', 1, 'answer-heads', 1, 'escalated'],
  );
  assert.match(String(row['calibration']), /^[0-9a-f]{12}$/);
  assert.match(String(row['heads']), /"values":[.\d]+,"no_tool_fits":[.\d]+,"more_calls":[.\d]+/);
  assert.match(String(row['features']), /"said":/);
  assert.equal(at(answer.json, 'lfo_metadata', 'attempts', 0, 'calibration'), 'prior');
  const [label] = await rowsOf(router, 'labels', 1);
  assert.deepEqual([label?.['request_id'], label?.['source'], label?.['label']], [id, 'agreement', 1]);
});

test('a call that the cloud makes otherwise is labelled wrong, and why', async (t) => {
  const { router } = await bothTiers(t, calling('Paris'), calling('London'));
  await router.chat(strictly);
  const [label] = await rowsOf(router, 'labels', 1);
  assert.deepEqual([label?.['label'], label?.['because']], [0, 'values']);
});

test('feedback on a local answer is a label beside others', async (t) => {
  const { router } = await bothTiers(t, calling('Paris'), calling('London'));
  const answer = await router.chat({ ...asksWeather, metadata: { confidence_threshold: '0.1' } });
  assert.equal(answer.headers['x-lfo-route'], 'local');
  const id = at(answer.json, 'lfo_metadata', 'request_id');
  await router.request('POST', '/v1/feedback', { request_id: id, verdict: 'bad' });
  await router.request('POST', '/v1/feedback', { request_id: id, verdict: 'good' });
  const labels = await rowsOf(router, 'labels', 2);
  assert.deepEqual(labels.map(({ source, label }) => `${String(source)} ${String(label)}`).toSorted(), [
    'feedback 0',
    'feedback 1',
  ]);
});

test('under the policy shadow the local model runs beside the cloud, is judged and compared, and the client gets the cloud', async (t) => {
  const { router } = await bothTiers(t, calling('Paris'), calling('Paris'), 'gate: { policy: shadow }');
  const answer = await router.chat({ ...asksWeather, model: 'lfo-cloud' });
  assert.equal(answer.headers['x-lfo-route'], 'cloud');
  const [row] = await rowsOf(router, 'judgements', 1);
  assert.deepEqual([row?.['policy'], row?.['attempt'], row?.['backend']], ['shadow', 1, 'near']);
  const [label] = await rowsOf(router, 'labels', 1);
  assert.deepEqual([label?.['attempt'], label?.['label'], label?.['propensity']], [1, 1, 1]);
});

test('what a rule keeps from the local tier no shadow shows it', async (t) => {
  const rule = '{ name: not-here, when: { metadata: { project: legal } }, then: { forbid: near } }';
  const yaml = `gate: { policy: shadow }\nrouting: { rules: [${rule}] }`;
  const { router, local } = await bothTiers(t, calling('Paris'), calling('Paris'), yaml);
  const answers = [];
  for (const project of ['legal', 'other']) {
    answers.push(await router.chat({ ...asksWeather, model: 'lfo-cloud', metadata: { project } }));
  }
  const [row] = await rowsOf(router, 'judgements', 1);
  assert.equal(row?.['request_id'], at(answers[1]?.json, 'lfo_metadata', 'request_id'));
  assert.equal(local.chats.length, 1);
});

test('under the policy observe a local answer passes whatever the verdict, which is on record', async (t) => {
  const { router } = await bothTiers(t, calling('Paris'), calling('Paris'), 'gate: { policy: observe }');
  const answer = await router.chat(strictly);
  assert.equal(answer.headers['x-lfo-route'], 'local');
  assert.equal(at(answer.json, 'lfo_metadata', 'degraded'), false);
  const [row] = await rowsOf(router, 'judgements', 1);
  assert.deepEqual([row?.['policy'], row?.['verdict'], row?.['outcome']], ['observe', 'escalate', 'answered']);
});

test('at the shadow rate the cloud is asked beside an accepted answer, which gets its label with its chance', async (t) => {
  const { router, cloud } = await bothTiers(t, calling('Paris'), calling('London'), 'gate: { shadow_rate: 0.02 }');
  const easily = { ...asksWeather, metadata: { confidence_threshold: '0.1' } };
  const egress: unknown[] = [];
  for (let request = 0; request < 600 && cloud.chats.length === 0; request += 1) {
    const { headers, json } = await router.chat(easily);
    assert.equal(headers['x-lfo-egress'], at(json, 'lfo_metadata', 'egress'));
    egress.push(headers['x-lfo-egress']);
  }
  assert.ok(egress.includes('undecided'), 'the answer that was drawn does not say that its prompt stays here');
  let label: Row | undefined;
  for (let tries = 0; tries < 50 && label === undefined; tries += 1) {
    label = (await rowsOf(router, 'labels', 1)).find(({ source }) => source === 'agreement');
    if (label === undefined) await new Promise((resolve) => setTimeout(resolve, 100));
  }
  assert.deepEqual([label?.['attempt'], label?.['label'], label?.['propensity']], [0, 0, 0.02]);
  assert.equal((await router.chat({ ...easily, model: 'lfo-local' })).headers['x-lfo-route'], 'local');
});

test('a loop of tool calls that went to the cloud stays there', async (t) => {
  const { router, local } = await bothTiers(t, calling('Paris', 'call_near'), calling('London', 'call_far'));
  await router.chat(strictly);
  const asked = local.exchanges.length;
  const calls = [
    { id: 'call_far', type: 'function', function: { name: 'get_weather', arguments: '{"city":"London"}' } },
  ];
  const messages = [
    { role: 'user', content: 'Weather in Paris?' },
    { role: 'assistant', content: null, tool_calls: calls },
    { role: 'tool', tool_call_id: 'call_far', content: '12 degrees' },
  ];
  const answer = await router.chat({ messages, tools: [weather] });
  assert.equal(answer.headers['x-lfo-reason'], 'tool_loop');
  assert.equal(local.exchanges.slice(asked).filter(({ request }) => request.path.endsWith('/completions')).length, 0);
});
