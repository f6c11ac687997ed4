import type { TestContext } from 'node:test';
import type { TestRouter } from './router.ts';
import { type ReadStream, readSse } from './sse.ts';
import { eventually } from './test-device.ts';

/** A streamed answer that is read while it comes. */
export interface AnswerReader {
  /** Resolves with the whole of it. */
  readonly over: Promise<ReadStream>;
  /** Resolves once it holds these characters. */
  readonly has: (what: string) => Promise<true>;
}

/** Asks for a chat and reads it until it ends, or the test does. */
export function readAnswer(t: TestContext, router: TestRouter, body: Readonly<Record<string, unknown>>): AnswerReader {
  let text = '';
  const abort = new AbortController();
  t.after(() => abort.abort());
  const over = (async () => {
    const response = await fetch(`${router.app.url}/v1/chat/completions`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ ...body, stream: true }),
      signal: abort.signal,
    });
    const decoder = new TextDecoder();
    for await (const chunk of response.body ?? []) text += decoder.decode(chunk, { stream: true });
    return readSse(text);
  })();
  const has = (what: string): Promise<true> =>
    eventually(() => (text.includes(what) ? true : undefined), `${what} in the answer`);
  return { over, has };
}
