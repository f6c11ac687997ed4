import assert from 'node:assert/strict';
import { globSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '@lfo/router/src/config/load.ts';
import { questions, startScene } from '@lfo/testing/dashboard-scene.ts';
import { runLfo, startLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { promtoolFaults, withoutPromtool } from '@lfo/testing/promtool.ts';
import { withoutPythonSdks } from '@lfo/testing/python-sdks.ts';
import { outputOf } from '@lfo/testing/run-program.ts';
import { pythonSdks } from '@lfo/testing/sdks/sdk-folders.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { parse } from 'yaml';

const examples = fileURLToPath(new URL('../examples', import.meta.url));

test('openai-js: one answer and one stream, each with where it came from', async (t) => {
  const { url } = await startScene(t);
  const args = [join(examples, 'openai-js/ask.mjs'), questions.easy];
  const output = await outputOf(process.execPath, args, { env: { ...process.env, LFO_URL: url } });
  assert.match(
    output,
    /^2 \+ 2 equals 4\.\n\(local, ollama, confidence 0\.\d+, confident\)\n2 \+ 2 equals 4\.\n\(local, nothing left: none\)\n$/,
  );
});

test('openai-python: the same', { skip: withoutPythonSdks }, async (t) => {
  const { url } = await startScene(t);
  const env = { ...process.env, LFO_URL: url, PYTHONPATH: pythonSdks };
  const output = await outputOf('python3', [join(examples, 'openai-python/ask.py'), questions.hard], { env });
  assert.match(output, /^The capital of Australia is Canberra\.\n\(cloud, gemini, confidence None, low_confidence\)\n/);
  assert.match(output, /The capital is Sydney\.\n\(local, nothing left: none\)\n$/);
});

test('agent: calls its tool, gives the result back and ends with an answer', async (t) => {
  const { url } = await startScene(t);
  const args = [join(examples, 'agent/agent.mjs'), questions.weather];
  const output = await outputOf(process.execPath, args, { env: { ...process.env, LFO_URL: url } });
  assert.match(output, /^step 1: local \(\w+\), get_weather\(\{"city":"Bern"\}\)\n/);
});

test('ollama: its models answer through LFO, by lfo.yaml as it is', async (t) => {
  const ollama = await ScriptedUpstream.start(answerWith({ deltas: ['From', ' Ollama.'] }));
  t.after(() => ollama.close());
  const cwd = workingFolder(t);
  const file = join(examples, 'ollama/lfo.yaml');
  const env = { OLLAMA_URL: `${ollama.origin}/v1`, PORT: '0', LFO_FLEET_LISTEN: 'off' };
  const lfo = startLfo(t, ['serve', '--config', file], { cwd, env });
  const [, url = ''] = /"url":"([^"]+)"/.exec(await lfo.output(/"url":"[^"]+"/)) ?? [];
  const { stdout, stderr } = await runLfo(t, ['chat', '--url', url, '--json', 'Who are you?'], { cwd });
  assert.match(stdout, /"answer":"From Ollama\."/, stderr);
});

test('grafana: the files are well formed and fit one another', async (t) => {
  const folder = join(examples, 'grafana');
  const compose = parse(readFileSync(join(folder, 'compose.yaml'), 'utf8'));
  const mounted = Object.values<{ volumes: string[] }>(compose.services).flatMap(({ volumes }) => volumes);
  for (const mount of mounted) {
    const [source = ''] = mount.split(':');
    if (source !== './lfo.key') assert.notEqual(globSync(join(folder, source)).length, 0, source);
  }
  for (const file of globSync(join(folder, 'provisioning/**/*.yaml'))) parse(readFileSync(file, 'utf8'));
  const [{ uid }] = parse(readFileSync(join(folder, 'provisioning/datasources/prometheus.yaml'), 'utf8')).datasources;
  assert.equal(uid, 'prometheus');
  await t.test('promtool takes the configuration', { skip: withoutPromtool }, (inner) => {
    const copy = workingFolder(inner);
    writeFileSync(join(copy, 'prometheus.yml'), readFileSync(join(folder, 'prometheus.yml')));
    writeFileSync(
      join(copy, 'alerts.yaml'),
      readFileSync(fileURLToPath(new URL('../docs/operations/alerts.yaml', import.meta.url))),
    );
    writeFileSync(join(copy, 'lfo.key'), 'lfo_key');
    assert.equal(promtoolFaults(['check', 'config', join(copy, 'prometheus.yml')]), undefined);
  });
});

test('every configuration among the examples is one that LFO takes', () => {
  for (const file of globSync(join(examples, '*/lfo.yaml'))) loadConfig({ env: { HOME: '/' }, cwd: '/', file });
});
