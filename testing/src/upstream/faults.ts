import type { Exchange, Script } from './exchange.ts';
import { answerWith, frame, hello, openaiChunks, openaiCompletion, openaiRequestOf } from './openai-answer.ts';

const secretBody = 'upstream-secret-7f3a';

/** What can go wrong, by the model name that asks for it. Only a refused connection is not here: nothing would hear. */
export const faults: Readonly<Record<string, Script>> = {
  'fault-hang-before-head': (exchange) => exchange.silence(),
  'fault-hang-before-body': async (exchange) => {
    exchange.head(200, streamHead);
    await exchange.silence();
  },
  'fault-hang-after-role': async (exchange) => {
    await startStream(exchange, 1);
    await exchange.silence();
  },
  'fault-hang-mid-stream': async (exchange) => {
    await startStream(exchange, 3);
    await exchange.silence();
  },
  'fault-reset-before-head': (exchange) => exchange.reset(),
  'fault-reset-mid-stream': async (exchange) => {
    await startStream(exchange, 3);
    await exchange.pause(20);
    exchange.reset();
  },
  'fault-fin-mid-stream': async (exchange) => {
    await startStream(exchange, 3);
    await exchange.pause(20);
    exchange.hangUp();
  },
  'fault-no-finish': async (exchange) => {
    await startStream(exchange, 3);
    exchange.finish();
  },
  'fault-done-without-finish': async (exchange) => {
    await startStream(exchange, 3);
    exchange.finish('data: [DONE]\n\n');
  },
  'fault-no-done': streamOf((chunks) => chunks.map(frame).join('')),
  'fault-truncated-json': (exchange) => {
    const { stream } = openaiRequestOf(exchange);
    exchange.head(200, stream ? streamHead : jsonHead);
    exchange.finish(stream ? `${frame(openaiChunks(hello)[0])}data: {"choices":[{"del\n\n` : '{"choices":[{"mess');
  },
  'fault-html': (exchange) => {
    exchange.head(200, { 'content-type': 'text/html' });
    exchange.finish(`<html>${secretBody}</html>`);
  },
  'fault-html-502': (exchange) => {
    exchange.head(502, { 'content-type': 'text/html' });
    exchange.finish(`<html>${secretBody}</html>`);
  },
  'fault-json-for-stream': (exchange) => exchange.json(200, openaiCompletion(hello)),
  'fault-400': status(400),
  'fault-401': status(401),
  'fault-403': status(403),
  'fault-404': status(404),
  'fault-413': status(413),
  'fault-422': status(422),
  'fault-429': status(429, { 'retry-after': '7' }),
  'fault-429-no-retry-after': status(429),
  'fault-500': status(500),
  'fault-502': status(502),
  'fault-503': status(503, { 'retry-after': '1' }),
  'fault-504': status(504),
  'fault-context-length': (exchange) =>
    exchange.json(400, { error: { ...errorBody(400).error, code: 'context_length_exceeded' } }),
  'fault-redirect': (exchange) => exchange.json(307, {}, { location: 'http://192.0.2.1/elsewhere' }),
  'fault-encoded': (exchange) => exchange.json(200, {}, { 'content-encoding': 'gzip' }),
  'fault-error-as-stream': (exchange) => {
    exchange.head(503, streamHead);
    exchange.finish(JSON.stringify(errorBody(503)));
  },
  'fault-error-in-ok-stream': (exchange) => {
    exchange.head(200, streamHead);
    exchange.finish(JSON.stringify([{ error: { code: 503, message: secretBody, status: 'UNAVAILABLE' } }]));
  },
  'fault-array-error': (exchange) =>
    exchange.json(429, [{ error: { code: 429, message: secretBody, status: 'RESOURCE_EXHAUSTED' } }]),
  'fault-error-frame': async (exchange) => {
    await startStream(exchange, 3);
    exchange.finish(frame(errorBody(503)));
  },
  'fault-error-event': async (exchange) => {
    await startStream(exchange, 3);
    exchange.finish(`event: error\n${frame(errorBody(500))}`);
  },
  'fault-unknown-fields': answerEach((chunk) => ({ ...chunk, mystery: { deep: [1, null] }, x_groq: null })),
  'fault-byte-by-byte': async (exchange) => {
    exchange.head(200, streamHead);
    for (const byte of Buffer.from(sse(openaiChunks(hello)))) {
      await exchange.write(Uint8Array.of(byte));
      await new Promise((resolve) => setImmediate(resolve));
    }
    exchange.finish();
  },
  'fault-sse-crlf': streamOf((chunks) => sse(chunks).replaceAll('\n', '\r\n')),
  'fault-sse-cr': streamOf((chunks) => sse(chunks).replaceAll('\n', '\r')),
  'fault-sse-bom': streamOf((chunks) => `\uFEFF${sse(chunks)}`),
  'fault-sse-comments': streamOf((chunks) => sse(chunks).replaceAll('data:', ': keep-alive\n\n:\ndata:')),
  'fault-sse-no-space': streamOf((chunks) => sse(chunks).replaceAll('data: ', 'data:')),
  'fault-sse-multi-line': streamOf((chunks) => sse(chunks).replaceAll('"choices":', '\ndata: "choices":')),
  'fault-bad-json-event': async (exchange) => {
    await startStream(exchange, 3);
    exchange.finish('data: {nonsense\n\n');
  },
  'fault-endless-stream': async (exchange) => {
    exchange.head(200, streamHead);
    const again = frame(openaiChunks(hello)[1]).repeat(20);
    while (exchange.end === undefined) {
      await exchange.write(again);
      await new Promise((resolve) => setImmediate(resolve));
    }
  },
  'fault-endless-line': async (exchange) => {
    exchange.head(200, streamHead);
    await exchange.write('data: {"choices":[{"delta":{"content":"');
    const filler = 'x'.repeat(16_384);
    while (exchange.end === undefined) await exchange.write(filler);
  },
  'fault-empty-answer': answerWith({ deltas: [] }),
  'fault-no-choices': (exchange) => exchange.json(200, { id: 'x', object: 'chat.completion', choices: [] }),
  'fault-usage-nan': answerWith({
    ...hello,
    usage: { prompt_tokens: -3, completion_tokens: 'many', total_tokens: null },
  }),
  'fault-usage-missing': answerWith({ ...hello, usage: null }),
  'fault-content-filter': answerWith({ deltas: ['Hel'], finishReason: 'content_filter' }),
  'fault-length': answerWith({ ...hello, finishReason: 'length' }),
};

const streamHead = { 'content-type': 'text/event-stream' } as const;
const jsonHead = { 'content-type': 'application/json' } as const;

function errorBody(code: number): { readonly error: object } {
  return { error: { message: `Failed: ${secretBody}`, type: 'some_error', param: null, code: String(code) } };
}

function status(code: number, headers: Readonly<Record<string, string>> = {}): Script {
  return (exchange) => exchange.json(code, errorBody(code), headers);
}

function sse(chunks: readonly object[]): string {
  return `${chunks.map(frame).join('')}data: [DONE]\n\n`;
}

function streamOf(text: (chunks: readonly object[]) => string): Script {
  return (exchange) => {
    exchange.head(200, streamHead);
    exchange.finish(text(openaiChunks(hello)));
  };
}

function answerEach(change: (chunk: object) => object): Script {
  return (exchange) => {
    if (!openaiRequestOf(exchange).stream) return exchange.json(200, change(openaiCompletion(hello)));
    return streamOf((chunks) => sse(chunks.map(change)))(exchange);
  };
}

async function startStream(exchange: Exchange, chunks: number): Promise<void> {
  exchange.head(200, streamHead);
  await exchange.write(openaiChunks(hello).slice(0, chunks).map(frame).join(''));
}
