import type { FastifyInstance } from 'fastify';
import * as z from 'zod';
import { RequestError } from '../../core/errors.ts';
import type { FinishEvent, FinishReason, InferenceEvent, TokenScore } from '../../core/events.ts';
import type { ChatRequest, Continuation } from '../../core/request.ts';
import { errorBody } from '../../server/error-body.ts';
import { CallLedger, cutOff } from '../call-ledger.ts';
import { CollectedAnswer } from '../collected-answer.ts';
import { isGiven } from '../given.ts';
import { requestErrorOf } from '../issues.ts';
import type { AnswerFacts, AnswerMetadata } from '../metadata.ts';
import { addressOf, type ReaderDeps, type Received } from '../reading.ts';
import type { Serving } from '../serving.ts';
import { wireUsage } from '../usage.ts';
import { WellFormedText } from '../well-formed.ts';
import type { AnswerContext, AnswerFormat, AnswerStream, ReadRequest, WholeAnswer } from '../wire.ts';
import { logitBias } from './chat-body.ts';
import { doneFrame } from './chunk-encoder.ts';

const flag = z.boolean().nullish();
const penalty = z.number().min(-2).max(2).nullish();
const prompts = z.array(z.union([z.string(), z.number(), z.array(z.number())])).max(2048);

/** The documented request. */
const completionBody = z.object({
  model: z.string().nullish(),
  prompt: z.union([z.string(), prompts], 'must be a text or a list of one').nullish(),
  suffix: z.string().nullish(),
  best_of: z.int().min(0).max(20).nullish(),
  echo: flag,
  frequency_penalty: penalty,
  logit_bias: logitBias.nullish(),
  logprobs: z.int().min(0).max(5).nullish(),
  max_tokens: z.int().min(0).max(0x7fff_ffff).nullish(),
  n: z.int().min(1).max(128).nullish(),
  presence_penalty: penalty,
  seed: z.number().refine(Number.isInteger, 'expected an integer').nullish(),
  stop: z.union([z.string(), z.array(z.string()).max(5)], 'must be a string or up to 5 strings').nullish(),
  stream: flag,
  stream_options: z.object({ include_usage: flag }).nullish(),
  temperature: z.number().min(0).max(2).nullish(),
  top_p: z.number().min(0).max(1).nullish(),
  user: z.string().nullish(),
});

type CompletionBody = z.infer<typeof completionBody>;

/** What a completion is when nobody says how long: the document's own default is 16, which no client expects. */
const defaultMaxTokens = 256;

/** `POST /v1/completions`, the older form: a text is gone on with, where the model's server can, or answered. */
export function addCompletionRoutes(app: FastifyInstance, serving: Serving): void {
  const deps = serving.reading;
  app.post('/v1/completions', { onRequest: serving.admit }, (request, reply) =>
    serving.serve(request, reply, readCompletion(serving.received(request), deps)),
  );
}

/** @throws LfoError 400, 403 or 404 whose param names the field or header */
function readCompletion(received: Received, deps: ReaderDeps): ReadRequest {
  const parsed = completionBody.safeParse(received.body.value);
  if (!parsed.success) throw requestErrorOf(parsed.error);
  const wire = parsed.data;
  const prompt = promptOf(wire);
  const isStream = wire.stream === true;
  if (isGiven(wire.stream_options) && !isStream) {
    throw new RequestError('stream_options: only allowed with "stream": true.', { param: 'stream_options' });
  }
  const { model, hints } = addressOf(received, { model: wire.model, conversation: wire.user, isStream }, deps);
  const request: ChatRequest = {
    id: received.id,
    model,
    messages: [{ role: 'user', content: [{ type: 'text', text: prompt }] }],
    tools: [],
    sampling: samplingOf(wire),
    stream: isStream,
    continuation: continuationOf(prompt, wire),
    includeUsage: wire.stream_options?.include_usage === true,
    hints,
    bodyBytes: received.body.bytes,
  };
  return {
    request,
    warnings: warningsOf(wire),
    format: new CompletionFormat(request, wire.echo === true ? prompt : ''),
  };
}

function continuationOf(prompt: string, { suffix, best_of: bestOf, stream }: CompletionBody): Continuation {
  return {
    prompt,
    ...(isGiven(suffix) && suffix !== '' && { suffix: suffix.toWellFormed() }),
    ...(isGiven(bestOf) && bestOf > 1 && stream !== true && { bestOf }),
  };
}

function promptOf({ prompt }: CompletionBody): string {
  const [only, another] = Array.isArray(prompt) ? prompt : [prompt];
  if (another === undefined && typeof only === 'string' && only !== '') return only.toWellFormed();
  const why =
    typeof only === 'number' || Array.isArray(only)
      ? 'token ids mean something else to each model; send the text'
      : another === undefined
        ? 'must be a text that is not empty'
        : 'several prompts are several requests; send one';
  throw new RequestError(`prompt: ${why}.`, { param: 'prompt' });
}

function samplingOf(wire: CompletionBody): ChatRequest['sampling'] {
  const stop = typeof wire.stop === 'string' ? [wire.stop] : (wire.stop ?? []);
  return {
    ...(isGiven(wire.temperature) && { temperature: wire.temperature }),
    ...(isGiven(wire.top_p) && { topP: wire.top_p }),
    maxTokens: Math.max(1, wire.max_tokens ?? defaultMaxTokens),
    stop: stop.filter((sequence) => sequence !== ''),
    ...(isGiven(wire.seed) && { seed: wire.seed }),
    ...(isGiven(wire.frequency_penalty) && { frequencyPenalty: wire.frequency_penalty }),
    ...(isGiven(wire.presence_penalty) && { presencePenalty: wire.presence_penalty }),
    ...(isGiven(wire.logit_bias) && { logitBias: wire.logit_bias }),
    logprobs: isGiven(wire.logprobs),
    ...(isGiven(wire.logprobs) && { topLogprobs: wire.logprobs }),
  };
}

function warningsOf(wire: CompletionBody): Map<string, string> {
  const warnings = new Map<string, string>();
  if ((wire.n ?? 1) > 1) warnings.set('n', 'one choice is given');
  if ((wire.best_of ?? 1) > 1 && wire.stream === true) warnings.set('best_of', 'one answer is made in a stream');
  if (isGiven(wire.logprobs) && wire.echo === true) warnings.set('logprobs', 'not given for the prompt itself');
  return warnings;
}

/** Text completions and their chunks. */
class CompletionFormat implements AnswerFormat {
  readonly dialect = 'openai-completions';
  readonly headers = {};
  readonly streamType = 'text/event-stream; charset=utf-8';
  readonly errorBody = errorBody;
  readonly #request: ChatRequest;
  /** Said before the answer; empty: nothing. */
  readonly #echo: string;

  constructor(request: ChatRequest, echo: string) {
    this.#request = request;
    this.#echo = echo;
  }

  whole({ createdS }: AnswerContext): WholeAnswer {
    const request = this.#request;
    const answer = new CollectedAnswer(request.model);
    return {
      facts: () => answer.facts,
      add: (event) => answer.add(event),
      body: (metadata) => {
        const { finish, reason } = answer.end();
        const choice = {
          text: this.#echo + answer.text,
          index: 0,
          logprobs: legacyScores(request, answer.scores, this.#echo.length),
          finish_reason: legacyReason(reason),
        };
        const head = { id: idOf(request), object: 'text_completion', created: createdS, model: answer.model };
        return { ...head, choices: [choice], usage: wireUsage(finish.usage), lfo_metadata: metadata };
      },
    };
  }

  stream({ createdS }: AnswerContext): AnswerStream {
    return new CompletionStream(this.#request, createdS, this.#echo);
  }
}

class CompletionStream implements AnswerStream {
  readonly #request: ChatRequest;
  readonly #createdS: number;
  readonly #text = new WellFormedText();
  readonly #ledger = new CallLedger();
  #echo: string;
  /** Of tokens not yet said. */
  #scores: TokenScore[] = [];
  /** Where the next of them stands. */
  #offset: number;
  #model: string;
  #finish: FinishEvent | undefined;

  constructor(request: ChatRequest, createdS: number, echo: string) {
    this.#request = request;
    this.#createdS = createdS;
    this.#echo = echo;
    this.#offset = echo.length;
    this.#model = request.model;
  }

  get facts(): AnswerFacts {
    return { finish: this.#finish, repairedCalls: this.#ledger.repaired };
  }

  encode(event: InferenceEvent): string {
    if (event.type === 'start') this.#model = event.model;
    if (event.type === 'finish') this.#finish = event;
    if (event.type === 'token-scores' && event.about === 'text') this.#scores.push(...event.scores);
    return event.type === 'text-delta' ? this.#said(this.#text.push(event.text)) : '';
  }

  heartbeat(): string {
    return ': waiting\n\n';
  }

  end(metadata: AnswerMetadata): string {
    const finish = this.#finish;
    if (finish === undefined) throw cutOff();
    const rest = this.#said(this.#text.end());
    const explained = { lfo_metadata: metadata };
    const reason = legacyReason(this.#ledger.finishReason(finish.reason));
    if (this.#request.includeUsage !== true) return `${rest}${this.#chunk('', reason, explained)}${doneFrame}`;
    const last = this.#frame([], { usage: wireUsage(finish.usage), ...explained });
    return `${rest}${this.#chunk('', reason)}${last}${doneFrame}`;
  }

  fail(error: Parameters<typeof errorBody>[0], metadata: AnswerMetadata): string {
    return `data: ${JSON.stringify({ ...errorBody(error), lfo_metadata: metadata })}\n\n`;
  }

  #said(text: string): string {
    if (text === '') return '';
    const said = this.#echo + text;
    this.#echo = '';
    return this.#chunk(said, null);
  }

  #chunk(text: string, reason: string | null, more: object = {}): string {
    return this.#frame([{ text, index: 0, logprobs: this.#takeScores(), finish_reason: reason }], more);
  }

  #takeScores(): object | null {
    if (this.#scores.length === 0) return null;
    const scores = legacyScores(this.#request, this.#scores, this.#offset);
    this.#offset += this.#scores.reduce((length, { token }) => length + token.length, 0);
    this.#scores = [];
    return scores;
  }

  #frame(choices: readonly object[], more: { readonly usage?: object } & object): string {
    const head = { id: idOf(this.#request), object: 'text_completion', created: this.#createdS, model: this.#model };
    const usage = this.#request.includeUsage === true ? { usage: null } : {};
    return `data: ${JSON.stringify({ ...head, choices, ...usage, ...more })}\n\n`;
  }
}

function idOf({ id }: ChatRequest): string {
  return `cmpl-${id}`;
}

/** There were no tools then. */
function legacyReason(reason: FinishReason): Exclude<FinishReason, 'tool_calls'> {
  return reason === 'tool_calls' ? 'stop' : reason;
}

function legacyScores({ sampling }: ChatRequest, scores: readonly TokenScore[], startsAt: number): object | null {
  if (!sampling.logprobs) return null;
  const { topLogprobs = 0 } = sampling;
  let offset = startsAt;
  return {
    tokens: scores.map(({ token }) => token),
    token_logprobs: scores.map(({ logprob }) => logprob),
    top_logprobs: scores.map(({ top = [] }) =>
      Object.fromEntries(top.slice(0, topLogprobs).map((one) => [one.token, one.logprob])),
    ),
    text_offset: scores.map(({ token }) => {
      const at = offset;
      offset += token.length;
      return at;
    }),
  };
}
