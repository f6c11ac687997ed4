import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { marker, startAgentUpstream } from '@lfo/testing/agents/agent-upstream.ts';
import { triedAgents } from '@lfo/testing/agents/agents.ts';
import { runAgent } from '@lfo/testing/agents/run-agent.ts';
import { startRouter } from '@lfo/testing/router.ts';
import { agentsFolder } from '@lfo/testing/sdks/sdk-folders.ts';

// One of the agents of `npm run test:agents`, unmodified, in every run of CI.

test(
  'a real agent is answered and runs a tool, in mode local without a word to the cloud',
  { timeout: 150_000 },
  async (t) => {
    const agent = triedAgents.find(({ name }) => name === 'Gemini CLI');
    assert.ok(agent !== undefined);
    const local = await startAgentUpstream('small');
    const cloud = await startAgentUpstream('large');
    const home = mkdtempSync(join(tmpdir(), 'lfo-agent-'));
    t.after(async () => {
      await Promise.all([local.close(), cloud.close()]);
      rmSync(home, { recursive: true, force: true });
    });
    const { app } = await startRouter(t, {
      yaml: `backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${local.origin}/v1", models: [small], context_tokens: 200000 }
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${cloud.origin}/v1", models: [large], context_tokens: 200000, api_key: none }
`,
    });
    const output = await runAgent({
      agent,
      model: 'lfo-local',
      base: app.url,
      page: readFileSync(fileURLToPath(new URL('../../../docs/clients.md', import.meta.url)), 'utf8'),
      bin: join(agentsFolder, 'node_modules/.bin'),
      home,
      longestMs: 120_000,
    });
    assert.match(output, /LFO answered this\./);
    assert.ok(
      local.requests.some(({ results }) => results.some((text) => text.includes(marker))),
      'a tool has run',
    );
    assert.equal(cloud.requests.length, 0);
  },
);
