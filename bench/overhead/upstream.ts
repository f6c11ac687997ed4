/**
 * The model server of the bench, on OpenAI's wire and on Gemini's: a fixed answer, whole or as `CHUNKS` chunks, written at
 * once one by one, or `pace` milliseconds apart where the prompt says `live pace`. Prints its origin. Answers
 * are prepared once, so that its own cost stays out of the comparison.
 */
import { createServer, type ServerResponse } from 'node:http';

const chunks = Number(process.argv[2] ?? 64);
const paceMs = Number(process.argv[3] ?? 10);
const words = `${'The quick brown fox jumps over the lazy dog while it rains '.repeat(16).slice(0, 788)} end of mark`;
const base = { id: 'chatcmpl-bench', created: 1_700_000_000, model: 'bench' };
const usage = { prompt_tokens: 200, completion_tokens: 160, total_tokens: 360 };

/** One answer in every form: whole, and as the parts of a stream. */
interface Form {
  readonly whole: string;
  readonly first: string;
  readonly middle: string;
  readonly last: string;
}

const openAi = (scores: object | null): Form => {
  const chunk = (delta: object, finish: string | null, logprobs: object | null): string =>
    `data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish, logprobs }] })}\n\n`;
  const message = { role: 'assistant', content: words, refusal: null };
  const choices = [{ index: 0, finish_reason: 'stop', logprobs: scores, message }];
  const counts = `data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices: [], usage })}\n\n`;
  return {
    whole: JSON.stringify({ ...base, object: 'chat.completion', choices, usage }),
    first: chunk({ role: 'assistant', content: '' }, null, null),
    middle: chunk({ content: 'token ' }, null, scores),
    last: `${chunk({}, 'stop', null)}${counts}data: [DONE]\n\n`,
  };
};
const gemini = ((): Form => {
  const counts = { promptTokenCount: 200, candidatesTokenCount: 160, totalTokenCount: 360 };
  const body = (text: string, end: object): string =>
    JSON.stringify({
      candidates: [{ content: { parts: [{ text }], role: 'model' }, index: 0, ...end }],
      modelVersion: 'bench',
      usageMetadata: counts,
    });
  const frame = (json: string): string => `data: ${json}\r\n\r\n`;
  return {
    whole: body(words, { finishReason: 'STOP' }),
    first: '',
    middle: frame(body('token ', {})),
    last: frame(body('', { finishReason: 'STOP' })),
  };
})();
const plain = openAi(null);
const scored = openAi({
  content: [{ token: 'token ', logprob: -0.01, bytes: [...Buffer.from('token ')], top_logprobs: [] }],
  refusal: null,
});

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('latin1').on('data', (text: string) => (body += text));
  request.on('end', () => answer(request.method ?? '', request.url ?? '', body, response));
});
// A client that takes a connection up again just as it is closed would be measured failing.
server.keepAliveTimeout = 120_000;
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.stdout.write(`http://127.0.0.1:${address.port}\n`);
});

function answer(method: string, url: string, body: string, response: ServerResponse): void {
  if (method === 'GET') return void response.end('{"object":"list","data":[{"id":"bench","object":"model"}]}');
  const isGemini = url.includes(':');
  const form = isGemini ? gemini : body.includes('"logprobs":true') ? scored : plain;
  const isStream = isGemini ? url.includes(':stream') : body.includes('"stream":true');
  if (!isStream) {
    response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(form.whole) });
    return void response.end(form.whole);
  }
  response.writeHead(200, { 'content-type': 'text/event-stream' });
  if (form.first !== '') response.write(form.first);
  stream(response, form, body.includes('live pace'));
  return undefined;
}

function stream(response: ServerResponse, form: Form, isLive: boolean): void {
  let left = chunks;
  const pump = (): void => {
    if (left-- === 0) {
      if (isLive) clearInterval(timer);
      response.end(form.last);
    } else {
      response.write(form.middle);
      if (!isLive) setImmediate(pump);
    }
  };
  const timer = isLive ? setInterval(pump, paceMs) : undefined;
  if (!isLive) pump();
}
