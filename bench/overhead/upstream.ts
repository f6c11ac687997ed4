/**
 * The model server of the bench: answers at once with a fixed completion, or with `CHUNKS` stream chunks written one
 * by one. Prints its origin. The answers are prepared once, so that its own cost stays out of the comparison.
 */
import { createServer } from 'node:http';

const chunks = Number(process.argv[2] ?? 100);
const words = 'The quick brown fox jumps over the lazy dog while it rains '.repeat(16).slice(0, 800);
const base = { id: 'chatcmpl-bench', created: 1_700_000_000, model: 'bench' };
const unary = JSON.stringify({
  ...base,
  object: 'chat.completion',
  choices: [
    { index: 0, finish_reason: 'stop', logprobs: null, message: { role: 'assistant', content: words, refusal: null } },
  ],
  usage: { prompt_tokens: 200, completion_tokens: 160, total_tokens: 360 },
});
const chunk = (delta: object, finish: string | null): string =>
  `data: ${JSON.stringify({ ...base, object: 'chat.completion.chunk', choices: [{ index: 0, delta, finish_reason: finish, logprobs: null }] })}\n\n`;
const first = chunk({ role: 'assistant', content: '' }, null);
const middle = chunk({ content: 'token ' }, null);
const last = `${chunk({}, 'stop')}data: [DONE]\n\n`;

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (text: string) => (body += text));
  request.on('end', () => {
    if (request.method === 'GET') return response.end('{"object":"list","data":[{"id":"bench","object":"model"}]}');
    if (!body.includes('"stream":true')) {
      response.writeHead(200, { 'content-type': 'application/json', 'content-length': Buffer.byteLength(unary) });
      return response.end(unary);
    }
    response.writeHead(200, { 'content-type': 'text/event-stream' });
    response.write(first);
    let left = chunks;
    const pump = (): void => {
      if (left-- === 0) return void response.end(last);
      response.write(middle);
      setImmediate(pump);
    };
    pump();
    return undefined;
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (address !== null && typeof address === 'object') process.stdout.write(`http://127.0.0.1:${address.port}\n`);
});
