import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, test } from 'node:test';
import { FakeGemini } from '@lfo/testing/fake-gemini.ts';
import { checkout, npmStart, type Product } from '@lfo/testing/npm-start.ts';
import { openApiValidator } from '@lfo/testing/openapi-validator.ts';
import { modelProcess, processGroup } from '@lfo/testing/process-group.ts';
import { at, readSse, type ReadStream } from '@lfo/testing/sse.ts';

const assertFits = openApiValidator();
const sum = 'What is 2+2?';
const capital = 'Capital of Australia? One word.';
const weather = {
  type: 'function',
  function: {
    name: 'get_weather',
    description: 'Current weather of a city',
    parameters: { type: 'object', properties: { city: { type: 'string' } }, required: ['city'] },
  },
};
const toolQuestion = { messages: asked('What is the weather in Paris?').messages, tools: [weather] };

interface Asked {
  readonly messages: readonly { readonly role: string; readonly content: string }[];
  readonly metadata: { readonly mode: string };
}

function asked(content: string, mode = 'auto'): Asked {
  return { messages: [{ role: 'user', content }], metadata: { mode } };
}

function post(product: Product, body: object): Promise<Response> {
  return fetch(`${product.url}/v1/chat/completions`, {
    method: 'POST',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify(body),
  });
}

/** A completion of the documented shape. */
async function complete(product: Product, body: object): Promise<unknown> {
  const response = await post(product, body);
  const answer: unknown = await response.json();
  assert.equal(response.status, 200, JSON.stringify(answer));
  assertFits('CreateChatCompletionResponse', answer);
  return answer;
}

/** A stream of chunks of the documented shape, whole. */
async function stream(product: Product, body: object): Promise<ReadStream> {
  const response = await post(product, { ...body, stream: true });
  assert.equal(response.status, 200);
  const read = readSse(await response.text());
  assert.ok(read.isDone);
  for (const chunk of read.chunks) assertFits('CreateChatCompletionStreamResponse', chunk);
  return read;
}

function metadataOf(answer: unknown, ...path: (string | number)[]): unknown {
  return at(answer, 'lfo_metadata', ...path);
}

/** The chunk that tells how the answer came about. */
function metadataChunk({ chunks }: ReadStream): unknown {
  return chunks.find((chunk) => metadataOf(chunk) !== undefined);
}

function assertScore(value: unknown): asserts value is number {
  assert.ok(typeof value === 'number' && value >= 0 && value <= 1, `no confidence: ${String(value)}`);
}

function assertLocal(answer: unknown): void {
  assert.equal(metadataOf(answer, 'route'), 'local');
  assert.equal(metadataOf(answer, 'backend'), 'embedded');
  assertScore(metadataOf(answer, 'confidence'));
  assert.equal(typeof metadataOf(answer, 'routing_reason'), 'string');
}

function checkoutStatus(): string {
  return execFileSync('git', ['status', '--porcelain', '--ignored'], { cwd: checkout, encoding: 'utf8' });
}

/** Both jobs start the product anew, so that each is what a user gets. */
function describeProduct(model: string, tests: (product: () => Product) => void) {
  describe(`npm start with ${model}`, { concurrency: false }, () => {
    let product: Product | undefined;
    before(async () => {
      product = await npmStart({ LFO_LOCAL_MODEL: model });
    });
    after(() => product?.discard());
    tests(() => {
      assert.ok(product !== undefined);
      return product;
    });
  });
}

describeProduct('smollm2-135m', (product) => {
  test('the first question is answered here, as JSON and as a stream, without a model named', async () => {
    const answer = await complete(product(), asked(sum));
    assertLocal(answer);
    assert.equal(metadataOf(answer, 'model'), 'smollm2-135m');
    assert.equal(at(answer, 'choices', 0, 'finish_reason'), 'stop');
    assertLocal(metadataChunk(await stream(product(), asked(sum))));
  });

  test('the death of its process in mid-stream is an error frame, and the next request is served', async () => {
    const { pid } = product();
    const response = await post(product(), { ...asked('Write a very long story.', 'local'), stream: true });
    assert.ok(response.body !== null);
    let text = '';
    for await (const chunk of response.body.pipeThrough(new TextDecoderStream())) {
      const killed = /"content":"[^"]/.test(text);
      text += chunk;
      const child = modelProcess(pid);
      if (!killed && /"content":"[^"]/.test(text) && child !== undefined) process.kill(child.pid, 'SIGKILL');
    }
    const { chunks } = readSse(text);
    assert.equal(typeof at(chunks.at(-1), 'error', 'message'), 'string', text.slice(-500));
    assertLocal(await complete(product(), asked(sum, 'local')));
  });

  test('SIGTERM to the group ends all of it with 0, and the checkout is as it was', async () => {
    const status = checkoutStatus();
    const { pid } = product();
    assert.equal(await product().stop(), 0);
    assert.deepEqual(processGroup(pid), []);
    assert.equal(checkoutStatus(), status);
  });
});

describeProduct('qwen2.5-coder-0.5b', (product) => {
  test('the first question is answered here, as JSON and as a stream', async () => {
    const answer = await complete(product(), asked(sum));
    assertLocal(answer);
    assert.equal(metadataOf(answer, 'degraded'), false);
    assert.equal(metadataOf(answer, 'routing_reason'), 'local_first');
    assertLocal(metadataChunk(await stream(product(), asked(sum))));
  });

  test('a tool is called, as JSON and as a stream', async () => {
    const local = { ...toolQuestion, metadata: { mode: 'local' } };
    const answer = await complete(product(), local);
    assertLocal(answer);
    assert.equal(at(answer, 'choices', 0, 'finish_reason'), 'tool_calls');
    assert.equal(at(answer, 'choices', 0, 'message', 'tool_calls', 0, 'function', 'name'), 'get_weather');
    const { chunks } = await stream(product(), local);
    assert.ok(
      chunks.some((chunk) => at(chunk, 'choices', 0, 'delta', 'tool_calls', 0, 'function', 'name') === 'get_weather'),
    );
    assert.ok(chunks.some((chunk) => at(chunk, 'choices', 0, 'finish_reason') === 'tool_calls'));
  });

  test('without a cloud an unsure answer is given and marked as degraded', async () => {
    const answer = await complete(product(), asked(capital));
    assertLocal(answer);
    assert.equal(metadataOf(answer, 'degraded'), true);
    const reasons = metadataOf(answer, 'reasons');
    assert.ok(Array.isArray(reasons) && reasons.includes('low_confidence') && reasons.includes('cloud_not_configured'));
  });

  test('in local mode it is given with its low confidence', async () => {
    const answer = await complete(product(), asked(capital, 'local'));
    assertLocal(answer);
    assert.ok(Number(metadataOf(answer, 'confidence')) < Number(metadataOf(answer, 'threshold')));
    assert.equal(metadataOf(answer, 'routing_reason'), 'mode_local');
  });
});

describe('npm start with a cloud', { concurrency: false }, () => {
  test('an unsure answer is replaced by the cloud, as JSON and as a stream', async (t) => {
    const gemini = await FakeGemini.start();
    t.after(() => gemini.close());
    const product = await npmStart({
      LFO_LOCAL_MODEL: 'qwen2.5-coder-0.5b',
      GEMINI_API_KEY: 'fake-key',
      GEMINI_BASE_URL: gemini.origin,
    });
    t.after(() => product.discard());
    for (const answer of [
      await complete(product, asked(capital)),
      metadataChunk(await stream(product, asked(capital))),
    ]) {
      assert.equal(metadataOf(answer, 'route'), 'cloud');
      assert.equal(metadataOf(answer, 'backend'), 'gemini');
      assert.equal(metadataOf(answer, 'routing_reason'), 'low_confidence');
      assert.equal(metadataOf(answer, 'attempts', 0, 'outcome'), 'escalated');
      assertScore(metadataOf(answer, 'attempts', 0, 'score'));
    }
    assert.deepEqual([gemini.requests.length, gemini.complaints], [2, []]);
    assertLocal(await complete(product, asked(capital, 'local')));
    assert.equal(gemini.requests.length, 2, 'what is local stays local');
    assert.equal(await product.stop(), 0);
  });
});
