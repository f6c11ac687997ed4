import type { Exchange, Script } from './exchange.ts';

/** What an answer says; deltas keep their cut. */
export interface OpenaiAnswer {
  readonly deltas: readonly string[];
  readonly toolCalls?: readonly {
    readonly id: string;
    readonly name: string;
    readonly argumentDeltas: readonly string[];
  }[];
  readonly finishReason?: string;
  /** Natural log of each delta's probability, were each a token. */
  readonly logprobs?: readonly number[];
  readonly usage?: unknown;
  /** Milliseconds before each streamed delta. */
  readonly paceMs?: number;
  readonly model?: string;
}

/** The answer when nothing else is said. */
export const hello: OpenaiAnswer = { deltas: ['Hello', ' from', ' upstream', '.'] };

const usage = { prompt_tokens: 12, completion_tokens: 4, total_tokens: 16 };

/** The body of a request, as far as scripts look into it. */
export interface OpenaiRequest {
  readonly model: string;
  readonly stream: boolean;
  readonly logprobs: boolean;
}

/** Reads what scripts need out of a request of either path. */
export function openaiRequestOf({ request }: Exchange): OpenaiRequest {
  const body: unknown = request.json;
  const field = (name: string): unknown =>
    typeof body === 'object' && body !== null ? Object.getOwnPropertyDescriptor(body, name)?.value : undefined;
  const model = field('model');
  return {
    model: typeof model === 'string' ? model : 'scripted',
    stream: field('stream') === true,
    logprobs: field('logprobs') === true,
  };
}

/** The chunks of a streamed answer, role first, usage last, without `[DONE]`. */
export function openaiChunks(answer: OpenaiAnswer, model = 'scripted'): object[] {
  const chunk = (delta: object, finish: string | null = null, logprobs: object | null = null): object => ({
    id: 'chatcmpl-1',
    object: 'chat.completion.chunk',
    created: 1_700_000_000,
    model: answer.model ?? model,
    choices: [{ index: 0, delta, logprobs, finish_reason: finish }],
  });
  const calls = answer.toolCalls ?? [];
  const callChunks = ({ id, name, argumentDeltas }: (typeof calls)[number], index: number): object[] => {
    const start = chunk({ tool_calls: [{ index, id, type: 'function', function: { name, arguments: '' } }] });
    return [start, ...argumentDeltas.map((json) => chunk({ tool_calls: [{ index, function: { arguments: json } }] }))];
  };
  return [
    chunk({ role: 'assistant', content: '' }),
    ...answer.deltas.map((content, at) => chunk({ content }, null, logprobsOf(answer, at, at + 1))),
    ...calls.flatMap(callChunks),
    chunk({}, finishOf(answer)),
    {
      id: 'chatcmpl-1',
      object: 'chat.completion.chunk',
      created: 1_700_000_000,
      model: answer.model ?? model,
      choices: [],
      usage: answer.usage === undefined ? usage : answer.usage,
    },
  ];
}

/** The same answer as one completion. */
export function openaiCompletion(answer: OpenaiAnswer, model = 'scripted'): object {
  const toolCalls = answer.toolCalls?.map(({ id, name, argumentDeltas }) => ({
    id,
    type: 'function',
    function: { name, arguments: argumentDeltas.join('') },
  }));
  const content = answer.deltas.length === 0 ? null : answer.deltas.join('');
  return {
    id: 'chatcmpl-1',
    object: 'chat.completion',
    created: 1_700_000_000,
    model: answer.model ?? model,
    choices: [
      {
        index: 0,
        message: {
          role: 'assistant',
          content,
          refusal: null,
          ...(toolCalls === undefined ? {} : { tool_calls: toolCalls }),
        },
        logprobs: logprobsOf(answer, 0, answer.deltas.length),
        finish_reason: finishOf(answer),
      },
    ],
    usage: answer.usage === undefined ? usage : answer.usage,
  };
}

/** Answers as asked, streamed or whole. */
export function answerWith(answer: OpenaiAnswer): Script {
  return async (exchange) => {
    const { model, stream } = openaiRequestOf(exchange);
    if (!stream) return exchange.json(200, openaiCompletion(answer, model));
    exchange.head(200, { 'content-type': 'text/event-stream' });
    for (const chunk of openaiChunks(answer, model)) {
      if (answer.paceMs !== undefined) await exchange.pause(answer.paceMs);
      if (exchange.end !== undefined) return;
      await exchange.write(frame(chunk));
    }
    exchange.finish('data: [DONE]\n\n');
  };
}

/** One event of the stream. */
export function frame(chunk: unknown): string {
  return `data: ${JSON.stringify(chunk)}\n\n`;
}

/** A token as a server scores it. */
export interface TokenScore {
  readonly token: string;
  readonly logprob: number;
}

/** One event with a delta of one's own making, its tokens scored; `more` of the chunk beside it. */
export function deltaFrame(
  delta: object,
  scores: readonly TokenScore[] = [],
  finish: string | null = null,
  more: object = {},
): string {
  const content = scores.map((score) => ({ ...score, bytes: null, top_logprobs: [] }));
  const choice = { index: 0, delta, logprobs: content.length === 0 ? null : { content }, finish_reason: finish };
  return frame({ id: 'c', object: 'chat.completion.chunk', created: 1, model: 'small', choices: [choice], ...more });
}

function finishOf(answer: OpenaiAnswer): string {
  return answer.finishReason ?? (answer.toolCalls === undefined ? 'stop' : 'tool_calls');
}

function logprobsOf(answer: OpenaiAnswer, from: number, to: number): object | null {
  if (answer.logprobs === undefined) return null;
  const content = answer.deltas.slice(from, to).map((token, at) => ({
    token,
    logprob: answer.logprobs?.[from + at] ?? -1,
    bytes: [...Buffer.from(token)],
    top_logprobs: [],
  }));
  return { content, refusal: null };
}
