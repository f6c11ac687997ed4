import {
  EngineError,
  type EngineDone,
  type EngineEvent,
  type EnginePrompt,
  type EngineRequest,
  type EngineUsage,
  type LoadedModel,
} from '@lfo/device-core';
import type { AnswerPart, ModelInfo } from '@lfo/protocol';
import { createParser } from 'eventsource-parser';
import { request, type Dispatcher } from 'undici';
import * as z from 'zod';

const alternative = z.looseObject({ token: z.string(), logprob: z.number() });
const scored = alternative.extend({ top_logprobs: z.array(alternative).catch([]) });
const callPiece = z.looseObject({
  index: z.int().nonnegative().catch(0),
  id: z.string().nullish().catch(undefined),
  function: z.looseObject({ name: z.string().nullish(), arguments: z.string().nullish() }).nullish().catch(undefined),
});
const chunk = z.looseObject({
  choices: z
    .array(
      z.looseObject({
        delta: z
          .looseObject({
            content: z.string().nullish(),
            reasoning_content: z.string().nullish(),
            reasoning: z.string().nullish(),
            tool_calls: z.array(callPiece).nullish(),
          })
          .catch({}),
        finish_reason: z.string().nullish(),
        logprobs: z
          .looseObject({ content: z.array(scored).nullish() })
          .nullish()
          .catch(undefined),
      }),
    )
    .catch([]),
  usage: z
    .looseObject({
      prompt_tokens: z.int().nonnegative(),
      completion_tokens: z.int().nonnegative(),
      prompt_tokens_details: z
        .looseObject({ cached_tokens: z.int().nonnegative().nullish() })
        .nullish()
        .catch(undefined),
    })
    .nullish()
    .catch(undefined),
  error: z.unknown().optional(),
});
type Chunk = z.infer<typeof chunk>;

/** A model server of this machine: Ollama, llama-server, LM Studio or any other that speaks OpenAI's wire. */
export interface ServerAddress {
  /** Ends in `/v1`. */
  readonly baseUrl: string;
}

/** What was found out about a model of the server. */
export interface ServerModelFacts {
  readonly id: string;
  readonly contextTokens: number;
  readonly slots: number;
  readonly hasScores: boolean;
}

/** One model of an OpenAI-compatible server on this machine. */
export class ServerModel implements LoadedModel {
  readonly info: ModelInfo;
  readonly slots: number;
  readonly #server: ServerAddress;
  #decode: number | undefined;

  constructor(server: ServerAddress, { id, contextTokens, slots, hasScores }: ServerModelFacts) {
    this.#server = server;
    this.slots = slots;
    const caps = ['tools', 'json_schema', ...(hasScores ? (['scores'] as const) : [])] as const;
    this.info = { id, ctx: contextTokens, caps: [...caps] };
  }

  count(): Promise<never> {
    return Promise.reject(new EngineError('unsupported', 'The server of this device counts no tokens.', false));
  }

  async *run(wanted: EngineRequest, signal: AbortSignal): AsyncGenerator<EngineEvent> {
    const startedMs = performance.now();
    const answer = new StreamedAnswer();
    let firstMs: number | undefined;
    for await (const piece of this.#chunks(wanted, signal)) {
      for (const part of answer.parts(piece)) {
        firstMs ??= performance.now();
        yield part;
      }
    }
    const parts = answer.end();
    yield* parts;
    const { usage, finishReason } = answer;
    if (finishReason === undefined) throw new EngineError('engine', 'The server of this device broke off.', true);
    const tookMs = performance.now() - (firstMs ?? startedMs);
    if (usage.completion_tokens > 8 && tookMs > 0) this.#decode = ((usage.completion_tokens - 1) * 1000) / tookMs;
    yield {
      k: 'done',
      finishReason,
      usage,
      ...(firstMs === undefined ? {} : { timing: { ttft_ms: Math.round(firstMs - startedMs) } }),
    } satisfies EngineDone;
  }

  rates(): { readonly decode?: number } {
    return this.#decode === undefined ? {} : { decode: this.#decode };
  }

  async close(): Promise<void> {}

  async *#chunks(wanted: EngineRequest, signal: AbortSignal): AsyncGenerator<Chunk> {
    const body = await this.#open(bodyOf(this.info.id, wanted), signal);
    const events: string[] = [];
    const parser = createParser({ onEvent: ({ data }) => events.push(data) });
    const decoder = new TextDecoder();
    try {
      for await (const bytes of body) {
        parser.feed(decoder.decode(bytes, { stream: true }));
        for (const data of events.splice(0)) {
          if (data === '[DONE]') return;
          const { data: piece } = chunk.safeParse(JSON.parse(data));
          if (piece === undefined) continue;
          if (piece.error !== undefined) throw new EngineError('engine', 'The server of this device failed.', true);
          yield piece;
        }
      }
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof EngineError) throw error;
      throw new EngineError('engine', 'The server of this device broke off.', true, { cause: error });
    }
  }

  async #open(json: object, signal: AbortSignal): Promise<Dispatcher.ResponseData['body']> {
    const { baseUrl } = this.#server;
    let answer;
    try {
      answer = await request(`${baseUrl}/chat/completions`, {
        method: 'POST',
        headers: { 'content-type': 'application/json' },
        body: JSON.stringify(json),
        // How long an answer may take is the router's to say.
        headersTimeout: 0,
        bodyTimeout: 0,
        signal,
      });
    } catch (error) {
      signal.throwIfAborted();
      throw new EngineError('engine', 'The server of this device does not answer.', true, { cause: error });
    }
    if (answer.statusCode === 200) return answer.body;
    throw refusal(answer.statusCode, await answer.body.text().catch(() => ''));
  }
}

function refusal(status: number, text: string): EngineError {
  if (/context|too long|exceed/i.test(text) && (status === 400 || status === 413)) {
    return new EngineError('too_long', 'The prompt does not fit the context of this model.', false);
  }
  if (status === 429 || status === 503) return new EngineError('busy', 'The server of this device is busy.', true);
  if (status === 404) return new EngineError('no_model', 'The server of this device no longer has this model.', true);
  if (status < 500) return new EngineError('bad_request', `The server of this device refused (${status}).`, false);
  return new EngineError('engine', `The server of this device failed (${status}).`, true);
}

function bodyOf(model: string, wanted: EngineRequest): object {
  const { messages, tools, toolChoice, responseFormat, stop, scores } = wanted;
  const fields = {
    max_tokens: wanted.maxTokens,
    temperature: wanted.temperature,
    top_p: wanted.topP,
    seed: wanted.seed,
    frequency_penalty: wanted.frequencyPenalty,
    presence_penalty: wanted.presencePenalty,
  };
  return {
    model,
    messages: messages.map(messageOf),
    stream: true,
    stream_options: { include_usage: true },
    ...Object.fromEntries(Object.entries(fields).filter(([, value]) => value !== undefined)),
    ...(stop.length === 0 ? {} : { stop }),
    ...(tools.length === 0 ? {} : { tools: tools.map((tool) => ({ type: 'function', function: tool })) }),
    ...(toolChoice === undefined || tools.length === 0 ? {} : { tool_choice: toolChoiceOf(toolChoice) }),
    ...(responseFormat === undefined || responseFormat.type === 'text'
      ? {}
      : { response_format: formatOf(responseFormat) }),
    ...(scores === undefined ? {} : { logprobs: true, top_logprobs: scores.top }),
  };
}

function messageOf({ role, content, tool_calls: calls, tool_call_id: id }: EnginePrompt['messages'][number]): object {
  return {
    // Few servers know the newer word.
    role: role === 'developer' ? 'system' : role,
    content,
    ...(id === undefined ? {} : { tool_call_id: id }),
    ...(calls === undefined || calls.length === 0
      ? {}
      : {
          tool_calls: calls.map(({ id: call, name, arguments: args }) => ({
            id: call,
            type: 'function',
            function: { name, arguments: args },
          })),
        }),
  };
}

function toolChoiceOf(choice: NonNullable<EngineRequest['toolChoice']>): unknown {
  return typeof choice === 'string' ? choice : { type: 'function', function: { name: choice.name } };
}

function formatOf(format: NonNullable<EngineRequest['responseFormat']>): object {
  if (format.type !== 'json_schema' || format.schema === undefined) return { type: 'json_object' };
  return { type: 'json_schema', json_schema: { name: 'answer', schema: format.schema, strict: true } };
}

/** Turns chunks into the parts of an answer; calls come one after the other, as the protocol wants them. */
class StreamedAnswer {
  usage: EngineUsage = { prompt_tokens: 0, completion_tokens: 0 };
  finishReason: EngineDone['finishReason'] | undefined;
  #open: number | undefined;
  #calls = 0;
  /** Index of a call here, by the server's own. */
  readonly #indices = new Map<number, number>();

  *parts({ choices, usage }: Chunk): Generator<AnswerPart> {
    if (usage !== null && usage !== undefined) {
      const cached = usage.prompt_tokens_details?.cached_tokens;
      this.usage = {
        prompt_tokens: usage.prompt_tokens,
        completion_tokens: usage.completion_tokens,
        ...(cached === null || cached === undefined ? {} : { cached_tokens: cached }),
      };
    }
    const [choice] = choices;
    if (choice === undefined) return;
    const { delta, logprobs, finish_reason: finish } = choice;
    const reasoning = delta.reasoning_content ?? delta.reasoning ?? '';
    if (reasoning !== '') yield { k: 'reasoning', text: reasoning };
    const text = delta.content ?? '';
    if (text !== '') yield { k: 'text', text };
    const scores = logprobs?.content ?? [];
    if (scores.length > 0 && text !== '') yield { k: 'scores', of: 'text', taken: 'raw', scores: scores.map(scoreOf) };
    for (const piece of delta.tool_calls ?? []) yield* this.#call(piece);
    if (finish === null || finish === undefined) return;
    this.finishReason = this.#calls > 0 ? 'tool_calls' : finish === 'length' ? 'length' : 'stop';
  }

  /** What is still open at the end. */
  *end(): Generator<AnswerPart> {
    if (this.#open !== undefined) yield { k: 'call_end', index: this.#open };
    this.#open = undefined;
  }

  *#call({ index: theirs, id, function: called }: z.infer<typeof callPiece>): Generator<AnswerPart> {
    const name = called?.name ?? '';
    let index = this.#indices.get(theirs);
    // Some number every call 0 and tell them apart by their ids alone.
    if (
      index === undefined ||
      (name !== '' && index !== this.#open) ||
      (name !== '' && (id ?? '') !== '' && this.#hasArgs)
    ) {
      yield* this.end();
      index = this.#calls++;
      this.#indices.set(theirs, index);
      this.#open = index;
      this.#hasArgs = false;
      yield { k: 'call', index, id: id ?? `call_${index}`, name };
    }
    const json = called?.arguments ?? '';
    if (json === '' || index !== this.#open) return;
    this.#hasArgs = true;
    yield { k: 'args', index, json };
  }

  #hasArgs = false;
}

function scoreOf({ token, logprob, top_logprobs: top }: z.infer<typeof scored>) {
  return {
    token,
    lp: Math.min(0, logprob),
    ...(top.length === 0 ? {} : { top: top.map((each) => ({ token: each.token, lp: Math.min(0, each.logprob) })) }),
  };
}
