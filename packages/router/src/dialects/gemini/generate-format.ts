import type { LfoError } from '../../core/errors.ts';
import type { FinishEvent, FinishReason, InferenceEvent, TokenScore, Usage } from '../../core/events.ts';
import { isJsonObject, parseJson } from '../../core/json.ts';
import type { ChatRequest } from '../../core/request.ts';
import { CallLedger, cutOff } from '../call-ledger.ts';
import { CollectedAnswer } from '../collected-answer.ts';
import type { AnswerFacts, AnswerMetadata } from '../metadata.ts';
import type { FlatTools } from '../tools.ts';
import { count } from '../usage.ts';
import { WellFormedText } from '../well-formed.ts';
import type { AnswerFormat, AnswerStream, WholeAnswer } from '../wire.ts';
import { googleError } from './errors.ts';

export interface GenerateFormatOptions {
  readonly request: ChatRequest;
  /** As asked. */
  readonly model: string;
  readonly tools: FlatTools;
  readonly isThinkingShown: boolean;
  /** Else a stream is one JSON array, written as it grows. */
  readonly isSse: boolean;
}

/** `GenerateContentResponse`, whole or in pieces. */
export class GenerateFormat implements AnswerFormat {
  readonly dialect = 'gemini';
  readonly headers = {};
  readonly streamType: string;
  readonly carriesImages = true;
  readonly errorBody = googleError;
  readonly #options: GenerateFormatOptions;

  constructor(options: GenerateFormatOptions) {
    this.#options = options;
    this.streamType = options.isSse ? 'text/event-stream; charset=utf-8' : 'application/json; charset=utf-8';
  }

  whole(): WholeAnswer {
    const { request, model, tools, isThinkingShown } = this.#options;
    const answer = new CollectedAnswer(request.model);
    return {
      facts: () => answer.facts,
      add: (event) => answer.add(event),
      body(metadata) {
        const { finish, reason } = answer.end();
        const parts: object[] = [];
        if (isThinkingShown && answer.reasoning !== '') parts.push({ text: answer.reasoning, thought: true });
        const text = answer.text + answer.refusal;
        if (text !== '' || answer.calls.length + answer.images.length === 0) parts.push({ text });
        parts.push(...answer.images.map(imagePart));
        for (const { id, name, arguments: json, thoughtSignature } of answer.calls) {
          parts.push(callPart(id, tools.originOf(name).name, json, thoughtSignature));
        }
        return {
          candidates: [
            {
              content: { role: 'model', parts },
              finishReason: finishReason(reason),
              index: 0,
              ...logprobsOf(request, answer.scores),
            },
          ],
          usageMetadata: wireUsage(finish.usage),
          modelVersion: model,
          responseId: request.id,
          lfo_metadata: metadata,
        };
      },
    };
  }

  stream(): AnswerStream {
    return new GenerateStream(this.#options);
  }
}

/** Texts as they come; a call whole, once it is. */
class GenerateStream implements AnswerStream {
  readonly #options: GenerateFormatOptions;
  readonly #ledger = new CallLedger();
  readonly #texts = { said: new WellFormedText(), thought: new WellFormedText() };
  readonly #calls = new Map<number, { id: string; name: string; signature: string | undefined; json: string }>();
  #hasBegun = false;
  /** Of text that is yet to leave. */
  #scores: TokenScore[] = [];
  #finish: FinishEvent | undefined;

  constructor(options: GenerateFormatOptions) {
    this.#options = options;
  }

  get facts(): AnswerFacts {
    return { finish: this.#finish, repairedCalls: this.#ledger.repaired };
  }

  encode(event: InferenceEvent): string {
    switch (event.type) {
      case 'text-delta':
      case 'refusal-delta':
        return this.#text(this.#texts.said.push(event.text), false);
      case 'reasoning-delta':
        return this.#options.isThinkingShown ? this.#text(this.#texts.thought.push(event.text), true) : '';
      case 'image':
        return this.#chunk({ parts: [imagePart(event.url)] });
      case 'tool-call-start': {
        const { index, id, name, thoughtSignature: signature } = event;
        this.#ledger.start(index);
        this.#calls.set(index, { id, name: this.#options.tools.originOf(name).name, signature, json: '' });
        return '';
      }
      case 'tool-call-delta': {
        const call = this.#calls.get(event.index);
        if (call !== undefined) call.json += event.json;
        return '';
      }
      case 'tool-call-end': {
        this.#ledger.end(event.index, event.repaired === true);
        const call = this.#calls.get(event.index);
        if (call === undefined) return '';
        return this.#chunk({ parts: [callPart(call.id, call.name, call.json.toWellFormed(), call.signature)] });
      }
      case 'token-scores':
        if (event.about === 'text' && this.#options.request.sampling.logprobs) this.#scores.push(...event.scores);
        return '';
      case 'finish':
        this.#finish = event;
        return '';
      default:
        return '';
    }
  }

  /** White space is nothing to a reader of JSON, a comment nothing to one of events. */
  heartbeat(): string {
    if (this.#options.isSse) return ': waiting\n\n';
    return this.#hasBegun ? '\n' : ' ';
  }

  end(metadata: AnswerMetadata): string {
    const finish = this.#finish;
    if (finish === undefined) throw cutOff();
    const reason = finishReason(this.#ledger.finishReason(finish.reason));
    const rest = this.#text(this.#texts.thought.end(), true) + this.#text(this.#texts.said.end(), false);
    const last = this.#chunk({ parts: [{ text: '' }], finishReason: reason }, finish.usage, metadata);
    return `${rest}${last}${this.#options.isSse ? '' : ']'}`;
  }

  fail(error: LfoError, metadata: AnswerMetadata): string {
    return this.#write({ ...googleError(error), lfo_metadata: metadata }) + (this.#options.isSse ? '' : ']');
  }

  #text(text: string, isThought: boolean): string {
    if (text === '') return '';
    return this.#chunk({ parts: [isThought ? { text, thought: true } : { text }] });
  }

  #chunk(
    { parts, finishReason: reason }: { readonly parts: readonly object[]; readonly finishReason?: string },
    usage?: Usage,
    metadata?: AnswerMetadata,
  ): string {
    const { model, request } = this.#options;
    const scores = this.#scores;
    this.#scores = [];
    return this.#write({
      candidates: [
        {
          content: { role: 'model', parts },
          ...(reason !== undefined && { finishReason: reason }),
          index: 0,
          ...logprobsOf(request, scores),
        },
      ],
      ...(usage !== undefined && { usageMetadata: wireUsage(usage) }),
      modelVersion: model,
      responseId: request.id,
      ...(metadata !== undefined && { lfo_metadata: metadata }),
    });
  }

  #write(body: object): string {
    const text = JSON.stringify(body);
    const before = this.#hasBegun ? ',\r\n' : '[';
    this.#hasBegun = true;
    return this.#options.isSse ? `data: ${text}\r\n\r\n` : `${before}${text}`;
  }
}

/** What `responseLogprobs` asks for, where the model scored its text. */
function logprobsOf({ sampling }: ChatRequest, scores: readonly TokenScore[]): { readonly logprobsResult?: object } {
  if (!sampling.logprobs || scores.length === 0) return {};
  const { topLogprobs = 0 } = sampling;
  return {
    logprobsResult: {
      chosenCandidates: scores.map(scored),
      ...(topLogprobs > 0 && {
        topCandidates: scores.map(({ top = [] }) => ({ candidates: top.slice(0, topLogprobs).map(scored) })),
      }),
    },
  };
}

function scored({ token, logprob, id }: Pick<TokenScore, 'token' | 'logprob' | 'id'>): object {
  return {
    token: token.toWellFormed(),
    ...(id !== undefined && { tokenId: id }),
    logProbability: Number.isFinite(logprob) ? logprob : impossible,
  };
}

/** In the place of minus infinity, which JSON cannot say. */
const impossible = -9999;

function callPart(id: string, name: string, json: string, signature: string | undefined): object {
  const args = parseJson(json);
  return {
    functionCall: { id: id.toWellFormed(), name: name.toWellFormed(), args: isJsonObject(args) ? args : {} },
    ...(signature !== undefined && { thoughtSignature: signature }),
  };
}

/** A `data:` URL of base64, as every backend's images are. */
function imagePart(url: string): object {
  const [head = '', data = ''] = url.split(',', 2);
  return { inlineData: { mimeType: head.slice('data:'.length).replace(/;.*$/, ''), data } };
}

function finishReason(reason: FinishReason): string {
  if (reason === 'length') return 'MAX_TOKENS';
  return reason === 'content_filter' ? 'SAFETY' : 'STOP';
}

/** Thoughts are counted apart from the candidates here. */
function wireUsage({ promptTokens, completionTokens, reasoningTokens, cachedTokens }: Usage) {
  const thoughts = Math.min(count(reasoningTokens), count(completionTokens));
  return {
    promptTokenCount: count(promptTokens),
    candidatesTokenCount: count(completionTokens) - thoughts,
    totalTokenCount: count(promptTokens) + count(completionTokens),
    ...(thoughts > 0 && { thoughtsTokenCount: thoughts }),
    ...(cachedTokens !== undefined && { cachedContentTokenCount: Math.min(count(cachedTokens), count(promptTokens)) }),
  };
}
