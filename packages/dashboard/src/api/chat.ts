import { createParser } from 'eventsource-parser';
import type { Mode, Tier } from '@lfo/router/src/core/request.ts';
import type { Reason } from '@lfo/router/src/core/reason.ts';
import { post } from './client.ts';
import { reader } from './live.ts';

/** What an answer says of itself. */
export interface AnswerMetadata {
  readonly request_id: string;
  readonly route: Tier | null;
  readonly backend: string | null;
  readonly model: string | null;
  readonly confidence: number | null;
  readonly threshold: number;
  readonly routing_reason: Reason | null;
  readonly degraded: boolean;
  readonly attempts: readonly { readonly tier: Tier; readonly score: number | null }[];
}

/** A tool call as far as it has come. */
export interface AnswerCall {
  readonly id: string;
  readonly name: string;
  /** JSON text. */
  readonly arguments: string;
}

/** One streamed answer as far as it has come. */
export interface Answer {
  readonly text: string;
  readonly calls: readonly AnswerCall[];
  readonly firstTextMs: number | undefined;
  readonly totalMs: number | undefined;
  readonly completionTokens: number | undefined;
  readonly metadata: AnswerMetadata | undefined;
}

/** One turn of a conversation. */
export interface Turn {
  readonly role: 'system' | 'user' | 'assistant' | 'tool';
  readonly content: string;
  readonly [name: string]: unknown;
}

/** The body of a chat, but for what every question here has. */
export interface ChatAsk {
  readonly messages: readonly Turn[];
  readonly [name: string]: unknown;
}

interface Delta {
  readonly content?: string | null;
  readonly refusal?: string | null;
  readonly tool_calls?: readonly {
    readonly index: number;
    readonly id?: string;
    readonly function?: { readonly name?: string; readonly arguments?: string };
  }[];
}

interface Chunk {
  readonly choices?: readonly { readonly delta?: Delta }[];
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly error?: { readonly message: string };
  readonly lfo_metadata?: AnswerMetadata;
}

export const noAnswer: Answer = {
  text: '',
  calls: [],
  firstTextMs: undefined,
  totalMs: undefined,
  completionTokens: undefined,
  metadata: undefined,
};

/** The whole body that is sent. */
export function bodyOf(ask: ChatAsk): object {
  return { ...ask, stream: true, stream_options: { include_usage: true } };
}

/** Asks as any client would, and tells the answer each time it has grown. @throws ApiError, or Error with the failure */
export async function chat(
  ask: ChatAsk,
  mode: Mode,
  signal: AbortSignal,
  onAnswer: (answer: Answer) => void,
): Promise<void> {
  const startMs = performance.now();
  const response = await post('/v1/chat/completions', bodyOf(ask), {
    signal,
    headers: { 'x-lfo-mode': mode, 'x-lfo-watch': reader },
  });
  let answer = noAnswer;
  const parser = createParser({
    onEvent({ data }) {
      if (data === '[DONE]') return;
      const chunk: Chunk = JSON.parse(data);
      if (chunk.error !== undefined) throw new Error(chunk.error.message);
      answer = grown(answer, chunk, performance.now() - startMs);
      onAnswer(answer);
    },
  });
  const decoder = new TextDecoder();
  for await (const bytes of response.body ?? []) parser.feed(decoder.decode(bytes, { stream: true }));
  onAnswer({ ...answer, totalMs: performance.now() - startMs });
}

function grown(answer: Answer, { choices, usage, lfo_metadata: metadata }: Chunk, nowMs: number): Answer {
  const delta = choices?.[0]?.delta;
  const text = delta?.content ?? delta?.refusal ?? '';
  const calls = withCalls(answer.calls, delta?.tool_calls ?? []);
  return {
    text: answer.text + text,
    calls,
    firstTextMs: answer.firstTextMs ?? (text === '' && calls.length === 0 ? undefined : nowMs),
    totalMs: undefined,
    completionTokens: usage?.completion_tokens ?? answer.completionTokens,
    metadata: metadata ?? answer.metadata,
  };
}

function withCalls(calls: readonly AnswerCall[], deltas: NonNullable<Delta['tool_calls']>): readonly AnswerCall[] {
  if (deltas.length === 0) return calls;
  const grownCalls = [...calls];
  for (const { index, id = '', function: said } of deltas) {
    const before = grownCalls[index] ?? { id, name: '', arguments: '' };
    grownCalls[index] = {
      id: before.id,
      name: before.name + (said?.name ?? ''),
      arguments: before.arguments + (said?.arguments ?? ''),
    };
  }
  return grownCalls;
}
