import { createParser } from 'eventsource-parser';
import type { Mode, Tier } from '@lfo/router/src/core/request.ts';
import type { Reason } from '@lfo/router/src/core/reason.ts';
import { post } from './client.ts';

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

/** One streamed answer as far as it has come. */
export interface Answer {
  readonly text: string;
  readonly firstTextMs: number | undefined;
  readonly totalMs: number | undefined;
  readonly completionTokens: number | undefined;
  readonly metadata: AnswerMetadata | undefined;
}

interface Chunk {
  readonly choices?: readonly {
    readonly delta?: { readonly content?: string | null; readonly refusal?: string | null };
  }[];
  readonly usage?: { readonly completion_tokens: number } | null;
  readonly error?: { readonly message: string };
  readonly lfo_metadata?: AnswerMetadata;
}

export const noAnswer: Answer = {
  text: '',
  firstTextMs: undefined,
  totalMs: undefined,
  completionTokens: undefined,
  metadata: undefined,
};

/** Asks as any client would, and tells the answer each time it has grown. @throws ApiError, or Error with the failure */
export async function chat(
  prompt: string,
  mode: Mode,
  maxTokens: number,
  signal: AbortSignal,
  onAnswer: (answer: Answer) => void,
): Promise<void> {
  const startMs = performance.now();
  const response = await post(
    '/v1/chat/completions',
    {
      messages: [{ role: 'user', content: prompt }],
      max_tokens: maxTokens,
      stream: true,
      stream_options: { include_usage: true },
    },
    { signal, headers: { 'x-lfo-mode': mode } },
  );
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
  return {
    text: answer.text + text,
    firstTextMs: answer.firstTextMs ?? (text === '' ? undefined : nowMs),
    totalMs: undefined,
    completionTokens: usage?.completion_tokens ?? answer.completionTokens,
    metadata: metadata ?? answer.metadata,
  };
}
