import type { Script } from './exchange.ts';
import { deltaFrame } from './openai-answer.ts';

const usage = { prompt_tokens: 200, completion_tokens: 40 };
/** So long that its reading tells a rate. */
export const longPrompt = 'Tell me what you know of the sea, of its salt and of its tides. '.repeat(12);

/** Streams 40 tokens over so many milliseconds, each with its score, and the count of both. */
export function pacedAnswer(ms: number, logprob = -0.01): Script {
  return async (exchange) => {
    exchange.head(200, { 'content-type': 'text/event-stream' });
    await exchange.pause(40);
    for (let token = 0; token < 40 && exchange.end === undefined; token++) {
      await exchange.write(deltaFrame({ content: 'near ' }, [{ token: 'x', logprob }]));
      await exchange.pause(ms / 40);
    }
    await exchange.write(deltaFrame({}, [], 'stop', { usage }));
    await exchange.write('data: [DONE]\n\n');
    exchange.finish();
  };
}
