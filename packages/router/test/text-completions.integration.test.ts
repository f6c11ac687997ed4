import assert from 'node:assert/strict';
import { describe, test, type TestContext } from 'node:test';
import { startTiers, type Tiers, type TiersOptions } from '@lfo/testing/both-tiers.ts';
import { openApiValidator } from '@lfo/testing/openapi-validator.ts';
import { withoutReferenceData } from '@lfo/testing/reference-data.ts';
import { type Answer, startRouter } from '@lfo/testing/router.ts';
import { at } from '@lfo/testing/sse.ts';
import { textServer } from '@lfo/testing/upstream/text-servers.ts';

// A text that is to be gone on with, as each kind of server takes it.

const prompt = 'Once upon';
const near = 'models: [tiny]';

interface Scene extends Tiers {
  readonly complete: (body?: object) => Promise<Answer>;
  /** Paths that the local server was asked at, in order, model lists aside. */
  readonly asked: () => readonly string[];
  /** Body of the latest of them. */
  readonly sent: () => unknown;
}

async function scene(
  t: TestContext,
  server: Parameters<typeof textServer>[0],
  more: TiersOptions = {},
): Promise<Scene> {
  const tiers = await startTiers(t, { local: textServer(server), near, ...more });
  const posts = () => tiers.local.requests.filter(({ method }) => method === 'POST');
  return {
    ...tiers,
    complete: (body) =>
      tiers.router.request('POST', '/v1/completions', { model: 'lfo-local', prompt, max_tokens: 2, ...body }),
    asked: () => posts().map(({ path }) => path),
    sent: () => posts().at(-1)?.json,
  };
}

/** The text of an answer, whole or streamed. */
function textOf({ text: body }: Answer): string {
  const bodies = body.startsWith('data:')
    ? [...body.matchAll(/^data: (\{.*)$/gm)].map(([, json = '']) => json)
    : [body];
  const texts = bodies.map((json) => at(JSON.parse(json), 'choices', 0, 'text'));
  return texts.filter((text) => typeof text === 'string').join('');
}

const isWarned = ({ headers }: Answer): boolean => /\bprompt: /.test(String(headers['x-lfo-warning'] ?? ''));

describe('a text is gone on with as it stands', () => {
  for (const server of ['llama-server', 'vllm', 'ollama'] as const) {
    test(`by ${server}, whole as in a stream, scores among them`, async (t) => {
      const { complete, asked, sent } = await scene(t, server);
      for (const stream of [false, true]) {
        const answer = await complete({ stream, logprobs: 1, stop: ['END'], temperature: 0, logit_bias: { 5: -100 } });
        assert.equal(answer.status, 200, answer.text);
        assert.deepEqual([textOf(answer), isWarned(answer)], [' a time', false]);
        assert.match(answer.text, /"token_logprobs":\[-0\.125/);
        assert.match(answer.text, /"finish_reason":"length"/);
        assert.match(answer.text, /"route":"local"/);
        const { stream: _, stream_options: __, ...body } = Object(sent());
        assert.deepEqual(body, {
          model: 'tiny',
          prompt,
          max_tokens: 2,
          temperature: 0,
          stop: ['END'],
          logit_bias: { 5: -100 },
          logprobs: 1,
        });
      }
      assert.deepEqual(asked(), ['/v1/completions', '/v1/completions']);
    });
  }

  test('by a cloud that has the route, and as a message by one that has not', async (t) => {
    for (const [server, words, warned] of [
      ['vllm', ' a time', false],
      ['chat-only', 'An answer.', true],
    ] as const) {
      const { complete, cloud, local } = await scene(t, 'vllm', { cloud: textServer(server) });
      const answer = await complete({ model: 'lfo-cloud' });
      assert.deepEqual([answer.status, textOf(answer), isWarned(answer)], [200, words, warned]);
      assert.deepEqual(
        [answer.headers['x-lfo-egress'], local.requests.filter((r) => r.method === 'POST').length],
        ['far', 0],
      );
      await complete({ model: 'lfo-cloud' });
      const paths = cloud.requests.map(({ path }) => path);
      const chat = '/v1/chat/completions';
      const expected = warned ? ['/v1/completions', chat, chat] : ['/v1/completions', '/v1/completions'];
      assert.deepEqual(paths, expected, 'learned once');
    }
  });

  test('and the local tier never asks the cloud, whichever way fails', async (t) => {
    const { complete, cloud } = await scene(t, 'chat-only');
    for (const body of [{}, { stream: true }, { suffix: ' time.' }, { prompt: 'x'.repeat(50_000) }])
      await complete(body);
    assert.deepEqual(cloud.requests, []);
  });

  test('by a model behind another LFO, which passes on what could not be done', async (t) => {
    for (const [server, words, warned] of [
      ['llama-server', ' a time', false],
      ['chat-only', 'An answer.', true],
    ] as const) {
      const { router: site, asked } = await scene(t, server);
      const { request } = await startRouter(t, {
        yaml: `backends: [{ name: site, kind: lfo, tier: local, base_url: "${site.app.url}" }]`,
      });
      for (const stream of [false, true]) {
        const body = { model: 'lfo-local', prompt, max_tokens: 2, logprobs: 1, stream };
        const answer = await request('POST', '/v1/completions', body);
        assert.deepEqual([answer.status, textOf(answer), isWarned(answer)], [200, words, warned], answer.text);
        assert.equal(answer.headers['x-lfo-egress'], 'none');
        assert.equal(/"token_logprobs":\[-0\.125/.test(answer.text), !warned);
      }
      const filled = await request('POST', '/v1/completions', { model: 'lfo-local', prompt, suffix: '.' });
      assert.equal(filled.status, warned ? 400 : 200, filled.text);
      assert.equal(asked().includes('/infill'), true);
    }
  });

  test('an end at once is an answer, not a failure', async (t) => {
    const empty = { id: 'c', object: 'text_completion', created: 1, model: 'tiny' };
    const choices = [{ text: '', index: 0, logprobs: null, finish_reason: 'stop' }];
    const { complete } = await scene(t, 'vllm', { local: (exchange) => exchange.json(200, { ...empty, choices }) });
    const answer = await complete();
    assert.deepEqual([answer.status, textOf(answer)], [200, '']);
  });

  test('several texts of which the best is given, where the server makes them', async (t) => {
    for (const [server, warned] of [
      ['vllm', false],
      ['llama-server', true],
    ] as const) {
      const { complete, asked, sent } = await scene(t, server);
      for (let i = 0; i < 2; i++) {
        const answer = await complete({ best_of: 3 });
        assert.equal(textOf(answer), ' a time');
        assert.equal(/best_of: one answer/.test(String(answer.headers['x-lfo-warning'])), warned);
      }
      assert.equal(at(sent(), 'best_of'), warned ? undefined : 3);
      assert.equal(asked().length, warned ? 3 : 2, 'learned once');
    }
  });

  test('one record, with the dialect, and OpenAI’s document', { skip: withoutReferenceData }, async (t) => {
    const { complete, router } = await scene(t, 'llama-server');
    const answer = await complete({ logprobs: 1, echo: true });
    openApiValidator()('CreateCompletionResponse', answer.json);
    assert.equal(textOf(answer), `${prompt} a time`);
    await t.waitFor(async () => {
      const { json } = await router.request('GET', '/dashboard/api/requests?limit=10');
      const rows: unknown = at(json, 'requests');
      assert.ok(Array.isArray(rows) && rows.length === 1);
      assert.deepEqual(
        [at(rows[0], 'id'), at(rows[0], 'dialect')],
        [answer.headers['x-request-id'], 'openai-completions'],
      );
    });
  });

  test('the gate judges it by its scores, and what it holds back the cloud answers in its own way', async (t) => {
    const { complete, cloud, asked } = await scene(t, 'vllm', {
      settings: 'routing: { confidence_threshold: 1 }',
      cloud: textServer('chat-only'),
    });
    const answer = await complete({ model: 'lfo-auto' });
    assert.deepEqual([answer.status, textOf(answer), isWarned(answer)], [200, 'An answer.', true], answer.text);
    const [held, given] = [0, 1].map((i) => at(answer.json, 'lfo_metadata', 'attempts', i));
    assert.deepEqual(
      [at(held, 'outcome'), at(held, 'tier'), typeof at(held, 'score')],
      ['escalated', 'local', 'number'],
    );
    assert.deepEqual([at(given, 'outcome'), at(given, 'tier')], ['answered', 'cloud']);
    assert.deepEqual(asked(), ['/v1/completions']);
    assert.deepEqual(
      cloud.requests.map(({ path }) => path),
      ['/v1/completions', '/v1/chat/completions'],
    );
  });
});

describe('the middle of a text is filled in', () => {
  test('by Ollama for models that can, by llama-server at its own address', async (t) => {
    for (const [server, path] of [
      ['ollama-insert', '/v1/completions'],
      ['llama-server', '/infill'],
    ] as const) {
      const { complete, asked, sent, router } = await scene(t, server);
      const { json: before } = await router.request('GET', '/v1/models/tiny');
      assert.doesNotMatch(JSON.stringify(before), /infill/, 'unknown is not said');
      for (const stream of [false, true]) {
        const answer = await complete({
          suffix: ' ago.',
          stream,
          logprobs: 1,
          stream_options: stream ? { include_usage: true } : null,
        });
        assert.equal(answer.status, 200, answer.text);
        assert.deepEqual([textOf(answer), isWarned(answer)], [' a time', false]);
        assert.match(answer.text, /"token_logprobs":\[-0\.125/);
        assert.match(answer.text, /"total_tokens":5/);
        assert.match(answer.text, /"finish_reason":"length"/);
        assert.deepEqual([at(sent(), 'suffix') ?? at(sent(), 'input_suffix'), asked().at(-1)], [' ago.', path]);
      }
      assert.equal(asked().length, server === 'llama-server' ? 3 : 2, 'learned once');
      await t.waitFor(async () => {
        const { json } = await router.request('GET', '/v1/models/tiny');
        assert.match(JSON.stringify(at(json, 'capabilities')), /"infill"/);
      });
      const shown = await router.request('POST', '/api/show', { model: 'tiny' });
      assert.match(JSON.stringify(at(shown.json, 'capabilities')), /"insert"/, 'Ollama’s word for it');
    }
  });

  test('where no model does, suffix is refused with what to do, and nobody is asked again', async (t) => {
    for (const server of ['vllm', 'ollama'] as const) {
      const { complete, asked } = await scene(t, server, { cloud: textServer('vllm') });
      for (const model of ['lfo-local', 'tiny', 'lfo-local']) {
        const answer = await complete({ model, suffix: ' ago.' });
        assert.deepEqual(
          [answer.status, String(at(answer.json, 'error', 'code')).slice(0, 11), at(answer.json, 'error', 'param')],
          [400, 'unsupported', 'suffix'],
          answer.text,
        );
        assert.match(answer.text, /fill in|fills in/);
      }
      assert.deepEqual(asked(), ['/v1/completions', '/infill'], 'learned once');
      assert.equal(textOf(await complete()), ' a time', 'texts without one are gone on with all the same');
    }
  });

  test('the next that can does it, where the first cannot', async (t) => {
    const { complete, cloud } = await scene(t, 'vllm', { cloud: textServer('ollama-insert') });
    const answer = await complete({ model: 'lfo-auto', suffix: ' ago.' });
    assert.deepEqual([answer.status, textOf(answer), answer.headers['x-lfo-egress']], [200, ' a time', 'far']);
    assert.deepEqual(
      cloud.requests.map(({ path }) => path),
      ['/v1/completions'],
    );
  });

  test('a server that would ignore it is never asked where its entry says so', async (t) => {
    const { complete, asked } = await scene(t, 'ollama-insert', { near: `${near}, capabilities: { infill: false }` });
    for (let i = 0; i < 3; i++) assert.equal((await complete()).status, 200);
    const answer = await complete({ suffix: ' ago.' });
    const { error } = JSON.parse(answer.text);
    assert.deepEqual([answer.status, error.code, error.param], [400, 'unsupported_by_backend', 'suffix']);
    assert.equal(asked().length, 3, 'a decision for texts without a gap is none for those with one');
  });

  test('Ollama’s own wire: suffix and raw', async (t) => {
    const { router, asked, sent } = await scene(t, 'llama-server');
    const generate = (body: object): Promise<Answer> =>
      router.request('POST', '/api/generate', { model: 'lfo-local', prompt, stream: false, ...body });
    const filled = await generate({ suffix: ' ago.' });
    assert.deepEqual([filled.status, at(filled.json, 'response'), asked().at(-1)], [200, ' a time', '/infill']);
    const raw = await generate({ raw: true });
    assert.deepEqual([at(raw.json, 'response'), asked().at(-1), isWarned(raw)], [' a time', '/v1/completions', false]);
    assert.equal(at(sent(), 'prompt'), prompt);
    const chat = await generate({});
    assert.deepEqual([at(chat.json, 'response'), asked().at(-1)], ['An answer.', '/v1/chat/completions']);
    const pictured = await generate({ raw: true, system: 'Be brief.' });
    assert.match(String(pictured.headers['x-lfo-warning']), /raw: /);
    const refused = await generate({ suffix: 'b', format: 'json' });
    assert.deepEqual([refused.status, at(refused.json, 'param')], [400, 'suffix']);
  });
});
