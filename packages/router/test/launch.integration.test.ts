import assert from 'node:assert/strict';
import { chmodSync, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { test, type TestContext } from 'node:test';
import { runLfo, workingFolder } from '@lfo/testing/lfo-process.ts';
import { startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';
import { agentNames } from '../src/cli/launch/agent-names.ts';

/** A router whose one model has a context of this size, and the way to run `lfo` beside it with a home of its own. */
async function scene(t: TestContext, contextTokens: number) {
  const upstream = await ScriptedUpstream.start(answerWith({ deltas: ['ready'] }));
  t.after(() => upstream.close());
  const { app, folder } = await startRouter(t, {
    yaml: `backends:
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${upstream.origin}/v1", models: [large], context_tokens: ${contextTokens}, api_key: none }
`,
  });
  const home = workingFolder(t);
  const bin = join(home, 'bin');
  mkdirSync(bin);
  const env = { HOME: home, LFO_DATA_DIR: join(folder, 'data'), PATH: `${bin}:${process.env['PATH'] ?? ''}` };
  const lfo = (command: string, ...args: string[]) =>
    runLfo(t, [command, '--url', app.url, ...args], { cwd: home, env });
  const program = (name: string, script: string): void => {
    writeFileSync(join(bin, name), `#!/bin/sh\n${script}\n`);
    chmodSync(join(bin, name), 0o755);
  };
  return { home, lfo, program, url: app.url };
}

test('every agent is pointed at the router by files of its own, and each is put back to the letter', async (t) => {
  const { home, lfo, url } = await scene(t, 200_000);
  const settings = join(home, '.claude', 'settings.json');
  const toml = join(home, '.codex', 'config.toml');
  const before = '{\n  // mine\n  "theme": "dark",\n  "env": { "FOO": "1", },\n}\n';
  const tomlBefore =
    'model = "mine"\n\n[model_providers.lfo]\nbase_url = "elsewhere"\nmine = true\n\n[tui]\nmodel = "x"\n';
  mkdirSync(join(home, '.claude'));
  mkdirSync(join(home, '.codex'));
  writeFileSync(settings, before);
  writeFileSync(toml, tomlBefore);
  for (const agent of agentNames) {
    const { code, stderr } = await lfo('launch', agent, '--config-only');
    assert.equal(code, 0, `${agent}: ${stderr}`);
  }
  const { theme, env } = JSON.parse(readFileSync(settings, 'utf8'));
  assert.deepEqual([theme, env.FOO, env.ANTHROPIC_BASE_URL, env.DISABLE_TELEMETRY], ['dark', '1', url, '1']);
  assert.equal(statSync(settings).mode & 0o777, 0o600);
  const text = readFileSync(toml, 'utf8');
  assert.match(text, /^model = "lfo-auto"\n/);
  assert.match(text, new RegExp(`\\[model_providers.lfo\\]\\n[^[]*base_url = "${url}/v1"[^[]*mine = true`));
  assert.match(text, /\[tui\]\nmodel = "x"\n/);
  const opencode = JSON.parse(readFileSync(join(home, '.config', 'opencode', 'opencode.json'), 'utf8'));
  assert.deepEqual(
    [opencode.model, opencode.share, opencode.provider.lfo.models['lfo-auto'].limit.context],
    ['lfo/lfo-auto', 'disabled', 200_000],
  );
  // A second time changes nothing of the backup.
  assert.equal((await lfo('launch', 'claude', '--config-only')).code, 0);
  for (const agent of agentNames) assert.equal((await lfo('launch', agent, '--restore')).code, 0, agent);
  assert.equal(readFileSync(settings, 'utf8'), before);
  assert.equal(readFileSync(toml, 'utf8'), tomlBefore);
  assert.ok(!existsSync(join(home, '.pi', 'agent', 'models.json')));
});

for (const { contextTokens, told } of [
  { contextTokens: 65_536, told: ['65536', '8192'] },
  { contextTokens: 1_000_000, told: ['1000000', undefined] },
  // Its own reserve is more than what would be left: it would compact for ever.
  { contextTokens: 32_768, told: [undefined, '8192'] },
]) {
  test(`Claude Code is told of a context of ${contextTokens} tokens what it can use`, async (t) => {
    const { home, lfo } = await scene(t, contextTokens);
    assert.equal((await lfo('launch', 'claude', '--config-only')).code, 0);
    const { env } = JSON.parse(readFileSync(join(home, '.claude', 'settings.json'), 'utf8'));
    assert.deepEqual([env.CLAUDE_CODE_MAX_CONTEXT_TOKENS, env.CLAUDE_CODE_MAX_OUTPUT_TOKENS], told);
  });
}

test('a file that was changed since is left alone, and one that cannot be read is not touched', async (t) => {
  const { home, lfo } = await scene(t, 200_000);
  const settings = join(home, '.claude', 'settings.json');
  assert.equal((await lfo('launch', 'claude', '--config-only')).code, 0);
  writeFileSync(settings, '{"mine": true}');
  const { code, stdout } = await lfo('launch', 'claude', '--restore');
  assert.deepEqual([code, readFileSync(settings, 'utf8')], [1, '{"mine": true}']);
  assert.match(stdout, /changed since/);
  writeFileSync(settings, '{ this is nothing');
  const refused = await lfo('launch', 'claude', '--config-only');
  assert.deepEqual([refused.code, readFileSync(settings, 'utf8')], [1, '{ this is nothing']);
  assert.match(refused.stderr, /settings\.json is not JSON/);
});

test('where no model has enough context it says so and writes nothing, but for one that is named', async (t) => {
  const { home, lfo } = await scene(t, 9_000);
  const { code, stderr } = await lfo('launch', 'claude', '--config-only');
  assert.equal(code, 1);
  assert.match(stderr, /Claude Code needs a context of about 32768 tokens.*largest here has 9000/);
  assert.ok(!existsSync(join(home, '.claude')));
  assert.equal((await lfo('launch', 'pi', '--config-only')).code, 0);
  const named = await lfo('launch', 'claude', '--config-only', '--model', 'large');
  assert.equal(named.code, 0);
  assert.match(named.stderr, /large has 9000/);
});

test('the agent is started with its variables, and the doctor sees its request arrive, or not', async (t) => {
  const { home, lfo, program, url } = await scene(t, 200_000);
  assert.match((await lfo('launch', 'copilot')).stderr, /configured but not installed: npm install/);
  program('copilot', 'echo "$COPILOT_PROVIDER_BASE_URL $COPILOT_OFFLINE $*"; exit 7');
  const { code, stdout } = await lfo('launch', 'copilot', '--', 'one', '--two');
  assert.deepEqual([code, stdout], [7, `${url}/v1 true one --two\n`]);

  const silent = await lfo('doctor', '--client', 'copilot', '--json');
  assert.deepEqual([silent.code, JSON.parse(silent.stdout).checks[0].ok], [1, false]);
  const script = join(home, 'ask.mjs');
  writeFileSync(
    script,
    `await fetch(process.env.COPILOT_PROVIDER_BASE_URL + '/chat/completions', { method: 'POST', headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ model: process.env.COPILOT_MODEL, messages: [{ role: 'user', content: 'Hi' }] }) });`,
  );
  program('copilot', `exec "${process.execPath}" "${script}"`);
  const seen = await lfo('doctor', '--client', 'copilot', '--json');
  assert.equal(seen.code, 0, seen.stdout);
  assert.match(JSON.parse(seen.stdout).checks[0].detail, /arrived \(openai-chat, large, status 200\)/);
});
