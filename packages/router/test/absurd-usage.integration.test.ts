import assert from 'node:assert/strict';
import { DatabaseSync } from 'node:sqlite';
import { join } from 'node:path';
import { describe, test } from 'node:test';

import { until } from '@lfo/testing/faults/keyed-process.ts';
import { postgresOfFile, withoutPostgres } from '@lfo/testing/postgres.ts';
import { asking, startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { at } from '@lfo/testing/sse.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';

const postgres = postgresOfFile();

const databases = [
  { name: 'SQLite', skip: false, url: async () => undefined },
  { name: 'PostgreSQL', skip: withoutPostgres, url: () => postgres().database() },
] as const;

const views = ['/dashboard/api/requests', '/dashboard/api/trends?range=1h', '/dashboard/api/confidence?range=1h'];

for (const { name, skip, url } of databases) {
  describe(`fault 63: usage that is absurd but finite, ${name}`, { skip, timeout: 60_000 }, () => {
    test('is clamped; records go on and the dashboard reads them', async (t) => {
      const upstream = await ScriptedUpstream.start();
      t.after(() => upstream.close());
      const databaseUrl = await url();
      const router = await startRouter(t, {
        yaml: `backends:
  - { name: far, kind: openai-compatible, tier: cloud, base_url: "${upstream.origin}/v1", models: [big] }
`,
        ...(databaseUrl === undefined ? {} : { env: { DATABASE_URL: databaseUrl } }),
      });
      const counts = [2 ** 53, 1e300, 12];
      for (const count of counts) {
        upstream.always(
          answerWith({
            deltas: ['Hi'],
            usage: { prompt_tokens: count, completion_tokens: count, total_tokens: count },
          }),
        );
        for (const ask of [router.chat, router.stream]) assert.equal((await ask(asking('Hi'))).status, 200);
      }
      await until('all are on record', async () => {
        const { json } = await router.request('GET', '/dashboard/api/requests');
        const { rows } = { rows: at(json, 'requests') };
        return Array.isArray(rows) && rows.length === 2 * counts.length;
      });
      for (const view of views) assert.equal((await router.request('GET', view)).status, 200, view);
      if (databaseUrl !== undefined) return;
      // As versions wrote them that did not clamp.
      const database = new DatabaseSync(join(router.folder, 'data', 'lfo.db'), { timeout: 5_000 });
      database.exec(
        'update requests set prompt_tokens = 9007199254740993; update usage_counts set prompt_tokens = 9007199254740993',
      );
      database.close();
      for (const view of views) assert.equal((await router.request('GET', view)).status, 200, view);
    });
  });
}
