import type { Exchange, Script } from './exchange.ts';
import { answerWith, frame, openaiRequestOf } from './openai-answer.ts';

/** What a server of this kind says, a token each. */
const said = [
  { token: ' a', logprob: -0.125, other: ' the', otherLogprob: -2.25 },
  { token: ' time', logprob: -0.0625, other: ' day', otherLogprob: -3 },
];
const usage = { prompt_tokens: 3, completion_tokens: 2, total_tokens: 5 };

type Server = 'llama-server' | 'vllm' | 'ollama' | 'ollama-insert' | 'chat-only';

/**
 * Servers as they take completions of a text: llama-server knows no `suffix` and has `/infill` for it, vLLM fills in
 * nothing, Ollama does for some models, and where only chats are served the route says so with a 404. A chat is answered
 * by all of them, with other words.
 */
export function textServer(server: Server): Script {
  return async (exchange) => {
    const { path, method } = exchange.request;
    if (method === 'GET') return exchange.json(200, { object: 'list', data: [{ id: 'tiny', object: 'model' }] });
    if (path === '/v1/chat/completions') return await answerWith({ deltas: ['An', ' answer.'] })(exchange);
    if (path === '/infill' && server === 'llama-server') return await infill(exchange);
    if (path !== '/v1/completions') return exchange.json(404, { detail: 'Not Found' });
    const refused = refusalOf(server, exchange);
    if (refused !== undefined) return exchange.json(refused.status, { error: refused });
    await completion(exchange, server);
  };
}

function field({ request: { json } }: Exchange, name: string): unknown {
  return typeof json === 'object' && json !== null ? Object.getOwnPropertyDescriptor(json, name)?.value : undefined;
}

function refusalOf(
  server: Server,
  exchange: Exchange,
): { readonly status: number; readonly message: string } | undefined {
  if (server === 'chat-only') {
    return {
      status: 404,
      message:
        'This is a chat model and not supported in the v1/completions endpoint. Did you mean to use v1/chat/completions?',
    };
  }
  if (server === 'llama-server' && field(exchange, 'best_of') !== undefined) {
    return { status: 400, message: 'Unsupported param: best_of' };
  }
  if (field(exchange, 'suffix') === undefined) return undefined;
  if (server === 'llama-server') return { status: 400, message: 'Unsupported param: suffix' };
  if (server === 'vllm') return { status: 400, message: 'suffix is not currently supported' };
  return server === 'ollama' ? { status: 400, message: 'tiny does not support insert' } : undefined;
}

/** llama-server scores as in chats, and none without alternatives; the others in the older form. */
function scoresOf(server: Server, exchange: Exchange, tokens: typeof said): object | null {
  const wanted = field(exchange, 'logprobs');
  if (typeof wanted !== 'number') return null;
  if (server === 'llama-server') return wanted === 0 ? null : { content: tokens.map(chatScore) };
  return {
    tokens: tokens.map(({ token }) => token),
    token_logprobs: tokens.map(({ logprob }) => logprob),
    top_logprobs: tokens.map(({ token, logprob, other, otherLogprob }) => ({
      [other]: otherLogprob,
      [token]: logprob,
    })),
    text_offset: tokens.map(() => 0),
  };
}

function chatScore({ token, logprob, other, otherLogprob }: (typeof said)[number]): object {
  return {
    id: 7,
    token,
    logprob,
    bytes: [],
    top_logprobs: [
      { token, logprob },
      { token: other, logprob: otherLogprob },
    ],
  };
}

async function completion(exchange: Exchange, server: Server): Promise<void> {
  const { model, stream } = openaiRequestOf(exchange);
  const body = (tokens: typeof said, finish: string | null, more: object = {}): object => ({
    id: 'cmpl-1',
    object: 'text_completion',
    created: 1_700_000_000,
    model,
    choices: [
      {
        text: tokens.map(({ token }) => token).join(''),
        index: 0,
        logprobs: tokens.length === 0 ? null : scoresOf(server, exchange, tokens),
        finish_reason: finish,
      },
    ],
    ...more,
  });
  if (!stream) return exchange.json(200, body(said, 'length', { usage }));
  exchange.head(200, { 'content-type': 'text/event-stream' });
  for (const token of said) await exchange.write(frame(body([token], null)));
  exchange.finish(`${frame(body([], 'length'))}${frame({ ...body([], null), choices: [], usage })}data: [DONE]\n\n`);
}

/** In words of its own, and without a `[DONE]`. */
async function infill(exchange: Exchange): Promise<void> {
  const { model, stream } = openaiRequestOf(exchange);
  const scored = typeof field(exchange, 'n_probs') === 'number';
  const part = (tokens: typeof said, stop: boolean): object => ({
    index: 0,
    content: tokens.map(({ token }) => token).join(''),
    tokens: [],
    stop,
    ...(scored && tokens.length > 0 && { completion_probabilities: tokens.map(chatScore) }),
    ...(stop && { model, stop_type: 'limit', tokens_evaluated: 3, tokens_predicted: 2, timings: { cache_n: 1 } }),
  });
  if (!stream) return exchange.json(200, part(said, true));
  exchange.head(200, { 'content-type': 'text/event-stream' });
  for (const token of said) await exchange.write(frame(part([token], false)));
  exchange.finish(frame(part([], true)));
}
