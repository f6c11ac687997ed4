import assert from 'node:assert/strict';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { until } from '@lfo/testing/faults/keyed-process.ts';
import { workingFolder } from '@lfo/testing/lfo-process.ts';
import { type ParsedMetrics, parseMetrics, type Sample } from '@lfo/testing/prometheus-text.ts';
import { promtoolFaults, withoutPromtool } from '@lfo/testing/promtool.ts';
import { asking, startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { faults } from '@lfo/testing/upstream/faults.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { parse } from 'yaml';
import { KeyTable } from '../src/keys/key-table.ts';
import { SqliteStore } from '../src/records/store/sqlite-store.ts';

const alertsFile = fileURLToPath(new URL('../../../docs/operations/alerts.yaml', import.meta.url));
const dashboardFile = fileURLToPath(new URL('../../../docs/operations/grafana-dashboard.json', import.meta.url));

const usage = {
  prompt_tokens: 12,
  completion_tokens: 4,
  total_tokens: 16,
  prompt_tokens_details: { cached_tokens: 3 },
  completion_tokens_details: { reasoning_tokens: 1 },
};
const sure = answerWith({ deltas: ['It', ' is', ' 4', '.'], logprobs: [-0.05, -0.02, -0.01, -0.02], usage, paceMs: 5 });
const unsure = answerWith({ deltas: ['Syd', 'ney', '.'], logprobs: [-1.9, -1.2, -0.9] });

/** The metrics of a router to which everything has happened that is counted. */
async function afterEverything(t: TestContext): Promise<string> {
  const local = await ScriptedUpstream.start(sure);
  const cloud = await ScriptedUpstream.start(answerWith({ deltas: ['Can', 'berra'], usage, paceMs: 5 }));
  t.after(() => Promise.all([local.close(), cloud.close()]));
  const router = await startRouter(t, {
    yaml: `retry: { base_delay_ms: 1, max_delay_ms: 2 }
breaker: { failures: 4 }
prices: { big: { prompt: 1, completion: 2 } }
backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small] }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [big] }
`,
  });
  const statuses: number[] = [];
  const chat = async (model: string, isStream = false): Promise<void> => {
    const ask = isStream ? router.stream : router.chat;
    statuses.push((await ask(asking('Capital of Australia?', { model }))).status);
  };
  for (const isStream of [false, true]) {
    local.always(sure);
    await chat('lfo-auto', isStream);
    await chat('lfo-cloud', isStream);
    local.always(unsure);
    await chat('lfo-auto', isStream);
    await chat('lfo-local', isStream);
  }
  local.always((exchange) => exchange.silence());
  const leaving = router.chat(asking('Hello', { model: 'lfo-local' }), { 'x-lfo-deadline-ms': '100' });
  statuses.push((await leaving).status);
  local.always((exchange) => faults['fault-500']?.(exchange));
  for (const model of ['lfo-local', 'lfo-auto', 'lfo-local', 'lfo-local', 'nobody-knows-this']) await chat(model);
  assert.deepEqual(statuses, [...Array.from({ length: 8 }, () => 200), 504, 502, 200, 502, 503, 404]);
  // From now on nobody comes in without a key.
  const store = new SqliteStore(join(router.folder, 'data', 'lfo.db'));
  t.after(() => store.close());
  const keys = new KeyTable(store);
  const owner = await keys.create({ name: 'owner', scopes: ['admin'], limits: {} }, Date.now());
  const limited = await keys.create(
    { name: 'limited', scopes: ['chat'], limits: { requestsPerDay: 1 }, expiresMs: Date.now() + 86_400_000 },
    Date.now(),
  );
  const bearer = (key: string) => ({ authorization: `Bearer ${key}` });
  const models = async (key = {}) => (await router.request('GET', '/v1/models', undefined, key)).status;
  await until('the first key is known', async () => (await models()) === 401);
  await until('the second key is known', async () => (await models(bearer(limited.text))) === 200);
  cloud.always(sure);
  for (const status of [200, 429]) {
    assert.equal((await router.chat(asking('Hello', { model: 'lfo-cloud' }), bearer(limited.text))).status, status);
  }
  await router.request('GET', '/metrics', undefined, bearer(owner.text));
  return (await router.request('GET', '/metrics', undefined, bearer(owner.text))).text;
}

test('what Prometheus reads is right by its own rules, and the rules and the dashboard ask for what is there', async (t) => {
  const text = await afterEverything(t);
  const metrics = parseMetrics(text);
  const alerts = valuesOf(parse(readFileSync(alertsFile, 'utf8')), 'expr');
  const panels = valuesOf(JSON.parse(readFileSync(dashboardFile, 'utf8')), 'expr');
  assert.deepEqual([alerts.length >= 8, panels.length >= 16], [true, true]);

  await t.test('each name, label and value of an expression is one that was measured', () => {
    for (const expression of [...alerts, ...panels]) {
      for (const asked of selectionsOf(expression)) assertMeasured(metrics, asked, expression);
    }
  });
  await t.test('an expression that asks for something else is found out', () => {
    for (const wrong of [
      'lfo_nothing',
      'lfo_backend_up{colour="red"}',
      'sum by (backend) (rate(lfo_retries_total[5m]))',
      'lfo_backend_breaker_state{state="ajar"}',
      'sum(rate(lfo_requests_total{status=~"7.."}[5m]))',
    ]) {
      assert.throws(() => selectionsOf(wrong).forEach((asked) => assertMeasured(metrics, asked, wrong)), wrong);
    }
  });
  await t.test('promtool finds no fault in the metrics', { skip: withoutPromtool }, () => {
    assert.equal(promtoolFaults(['check', 'metrics'], text), undefined);
    assert.notEqual(promtoolFaults(['check', 'metrics'], `${text}lfo_broken{\n`), undefined);
  });
  await t.test(
    'promtool finds no fault in the alert rules nor in the expressions of the dashboard',
    {
      skip: withoutPromtool,
    },
    () => {
      assert.equal(promtoolFaults(['check', 'rules', alertsFile]), undefined);
      const rules = panels.map((expression, index) => ({
        record: `panel:${index}`,
        expr: expression.replaceAll('$__rate_interval', '5m'),
      }));
      const file = join(workingFolder(t), 'panels.json');
      writeFileSync(file, JSON.stringify({ groups: [{ name: 'panels', rules }] }));
      assert.equal(promtoolFaults(['check', 'rules', file]), undefined);
    },
  );
  await t.test(
    'each alert is raised when it should be, and by a healthy router none',
    { skip: withoutPromtool },
    () => {
      const situations = alertsFile.replace('.yaml', '.test.yaml');
      assert.equal(promtoolFaults(['test', 'rules', situations]), undefined);
      const said = readFileSync(situations, 'utf8');
      for (const [, name = ''] of readFileSync(alertsFile, 'utf8').matchAll(/alert: (\w+)/g))
        assert.match(said, RegExp(name));
    },
  );
});

/** One metric in an expression and what is asked of its labels. */
interface Selection {
  readonly name: string;
  readonly labels: readonly string[];
  readonly matches: readonly { readonly label: string; readonly value: RegExp }[];
}

/** Every metric of ours in an expression, with the labels it is filtered and grouped by. */
function selectionsOf(expression: string): readonly Selection[] {
  const groups = Array.from(expression.matchAll(/\bby \(([^)]*)\) \(/g), ({ 0: head, 1: labels = '', index }) => ({
    labels: labels.split(',').map((label) => label.trim()),
    from: index + head.length,
    to: closingAfter(expression, index + head.length),
  }));
  return Array.from(expression.matchAll(/\b(lfo_\w+)(?:\{([^}]*)\})?/g), ({ 1: name = '', 2: filter = '', index }) => {
    const filters = Array.from(
      filter.matchAll(/(\w+)(=~|!=|!~|=)"([^"]*)"/g),
      ([, label = '', kind = '', value = '']) => ({
        label,
        kind,
        value: new RegExp(`^(?:${value})$`),
      }),
    );
    const grouped = groups.filter(({ from, to }) => from <= index && index < to).flatMap(({ labels }) => labels);
    return {
      name,
      labels: [...filters.map(({ label }) => label), ...grouped],
      matches: filters.filter(({ kind }) => !kind.startsWith('!')),
    };
  });
}

/** Where the parenthesis ends whose inside begins here. */
function closingAfter(text: string, from: number): number {
  let depth = 1;
  let at = from;
  for (; at < text.length && depth > 0; at++) depth += text[at] === '(' ? 1 : text[at] === ')' ? -1 : 0;
  return at;
}

function assertMeasured({ samples }: ParsedMetrics, { name, labels, matches }: Selection, expression: string): void {
  const own = samples.filter((sample: Sample) => sample.name === name);
  assert.ok(own.length > 0, `${name} was not measured: ${expression}`);
  for (const label of labels)
    assert.ok(
      own.every((sample) => label in sample.labels),
      `${label}: ${expression}`,
    );
  for (const { label, value } of matches) {
    assert.ok(
      own.some((sample) => value.test(sample.labels[label] ?? '')),
      `${label} is never so: ${expression}`,
    );
  }
}

/** Every text under this key, however deep. */
function valuesOf(value: unknown, key: string): string[] {
  if (typeof value !== 'object' || value === null) return [];
  return Object.entries(value).flatMap(([name, inner]) =>
    name === key && typeof inner === 'string' ? [inner] : valuesOf(inner, key),
  );
}
