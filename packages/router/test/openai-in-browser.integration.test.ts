import assert from 'node:assert/strict';
import { once } from 'node:events';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import { join, normalize } from 'node:path';
import { describe, test, type TestContext } from 'node:test';
import { fileURLToPath } from 'node:url';

import { browserOfSuite, noBrowser, openPage } from '@lfo/testing/browser.ts';
import { startRouter } from '@lfo/testing/router.ts';
import { ScriptedUpstream } from '@lfo/testing/scripted-upstream.ts';
import { answerWith } from '@lfo/testing/upstream/openai-answer.ts';

const key = 'lfo-key-for-tests-0123456789abcdef';
const packageFolder = fileURLToPath(new URL('.', import.meta.resolve('openai')));

/** A page with the official client's own modules, on an origin that is not the router's. */
async function pageServer(t: TestContext): Promise<string> {
  const server = createServer((request, response) => {
    const path = normalize(new URL(request.url ?? '/', 'http://x').pathname);
    if (path === '/') {
      response.setHeader('content-type', 'text/html').end('<!doctype html><title>A page of somebody else</title>');
      return;
    }
    readFile(join(packageFolder, path)).then(
      (text) => response.setHeader('content-type', 'text/javascript').end(text),
      () => response.writeHead(404).end(),
    );
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  t.after(() => server.close());
  const address = server.address();
  assert.ok(typeof address === 'object' && address !== null);
  return `http://127.0.0.1:${address.port}`;
}

/** Runs in the page: asks whole and streamed. Text, since the page's own import must not be touched here. */
const useClient = (url: string, headers: object) => `
  import('/index.mjs').then(async ({ default: OpenAI }) => {
    const client = new OpenAI({
      apiKey: '${key}', baseURL: '${url}/v1', dangerouslyAllowBrowser: true, maxRetries: 0,
      organization: 'somebody', project: 'something', defaultHeaders: ${JSON.stringify(headers)},
    });
    const messages = [{ role: 'user', content: 'Hello' }];
    const { data, response } = await client.chat.completions.create({ model: 'lfo-local', messages }, { timeout: 20000 }).withResponse();
    let streamed = '';
    const stream = await client.chat.completions.create({ model: 'lfo-local', messages, stream: true });
    for await (const chunk of stream) streamed += chunk.choices[0]?.delta.content ?? '';
    const models = await client.models.list();
    return [data.choices[0].message.content, streamed, models.data[0].id, response.headers.get('x-lfo-egress')];
  })`;

describe('the official client in a browser', { skip: noBrowser }, () => {
  const browser = browserOfSuite();

  async function open(t: TestContext, origin: string, allowed: string) {
    const upstream = await ScriptedUpstream.start();
    t.after(() => upstream.close());
    upstream.always(answerWith({ deltas: ['Hello', ' there.'] }));
    const router = await startRouter(t, {
      env: { LFO_AUTH_TOKEN: key },
      yaml: `server: { allowed_origins: ["${allowed}"] }
backends:
  - { name: near, kind: openai-compatible, tier: local, base_url: "${upstream.origin}/v1", models: [small] }
`,
    });
    const { page } = await openPage(t, browser(), origin);
    await page.goto('/');
    return { page, url: router.app.url };
  }

  test('it works where the operator allows the page’s origin', { timeout: 60_000 }, async (t) => {
    const origin = await pageServer(t);
    const { page, url } = await open(t, origin, origin);
    const headers = { 'x-lfo-mode': 'local', 'x-lfo-session': 'mine', 'x-lfo-deadline-ms': '20000' };
    assert.deepEqual(await page.evaluate(useClient(url, headers)), [
      'Hello there.',
      'Hello there.',
      'lfo-auto',
      'none',
    ]);
  });

  test('a page of any other origin gets nothing', { timeout: 60_000 }, async (t) => {
    const origin = await pageServer(t);
    const { page, url } = await open(t, origin, 'https://app.test');
    await assert.rejects(async () => page.evaluate(useClient(url, {})), /Connection error/);
  });
});
