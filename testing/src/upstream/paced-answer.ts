import type { Script } from './exchange.ts';

const usage = { prompt_tokens: 200, completion_tokens: 40 };
/** So long that its reading tells a rate. */
export const longPrompt = 'Tell me what you know of the sea, of its salt and of its tides. '.repeat(12);

/** Streams 40 tokens over so many milliseconds, each with its score, and the count of both. */
export function pacedAnswer(ms: number, logprob = -0.01): Script {
  const frame = (value: object): string =>
    `data: ${JSON.stringify({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'small', ...value })}\n\n`;
  return async (exchange) => {
    exchange.head(200, { 'content-type': 'text/event-stream' });
    await exchange.pause(40);
    for (let token = 0; token < 40 && exchange.end === undefined; token++) {
      const logprobs = { content: [{ token: 'x', logprob, bytes: null, top_logprobs: [] }] };
      await exchange.write(
        frame({ choices: [{ index: 0, delta: { content: 'near ' }, logprobs, finish_reason: null }] }),
      );
      await exchange.pause(ms / 40);
    }
    await exchange.write(frame({ choices: [{ index: 0, delta: {}, finish_reason: 'stop' }], usage }));
    await exchange.write('data: [DONE]\n\n');
    exchange.finish();
  };
}
