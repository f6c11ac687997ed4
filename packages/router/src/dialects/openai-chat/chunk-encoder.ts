import type { LfoError } from '../../core/errors.ts';
import type { FinishEvent, InferenceEvent, TokenScore } from '../../core/events.ts';
import type { ChatRequest } from '../../core/request.ts';
import { CallLedger, cutOff } from '../call-ledger.ts';
import { imageBody, signatureBody } from './completion.ts';
import { wireLogprobs } from './logprobs.ts';
import type { AnswerFacts, AnswerMetadata } from '../metadata.ts';
import { wireUsage } from '../usage.ts';
import { errorBody } from '../../server/error-body.ts';
import { WellFormedText } from '../well-formed.ts';
import type { AnswerStream } from '../wire.ts';

/** What every stream ends with when it has come to its end, and never otherwise. */
export const doneFrame = 'data: [DONE]\n\n';

type Channel = 'content' | 'reasoning_content' | 'refusal';

/**
 * Turns events into SSE frames. All chunks of a stream share their beginning and end, which are written once; only the
 * delta is serialised for each.
 */
export class ChunkEncoder implements AnswerStream {
  readonly #request: ChatRequest;
  readonly #id: string;
  readonly #createdS: number;
  readonly #suffix: string;
  #prefix: string;
  #hasRole = false;
  readonly #channels: Readonly<Record<Channel, WellFormedText>> = {
    content: new WellFormedText(),
    reasoning_content: new WellFormedText(),
    refusal: new WellFormedText(),
  };
  readonly #arguments = new Map<number, WellFormedText>();
  readonly #ledger = new CallLedger();
  #scores: TokenScore[] = [];
  #finish: FinishEvent | undefined;

  constructor(request: ChatRequest, id: string, createdS: number) {
    this.#request = request;
    this.#id = id;
    this.#createdS = createdS;
    this.#suffix = request.includeUsage === true ? '}],"usage":null}\n\n' : '}]}\n\n';
    this.#prefix = this.#chunkPrefix(request.model);
  }

  get facts(): AnswerFacts {
    return { finish: this.#finish, repairedCalls: this.#ledger.repaired };
  }

  /** The frames of one event; empty where the client sees nothing of it yet. */
  encode(event: InferenceEvent): string {
    switch (event.type) {
      case 'start':
        this.#prefix = this.#chunkPrefix(event.model);
        break;
      case 'text-delta':
        return this.#text('content', this.#channels.content.push(event.text));
      case 'reasoning-delta':
        return this.#text('reasoning_content', this.#channels.reasoning_content.push(event.text));
      case 'refusal-delta':
        return this.#text('refusal', this.#channels.refusal.push(event.text));
      case 'image':
        return this.#chunk(`"images":${JSON.stringify([imageBody(event.url)])}`);
      case 'tool-call-start':
        return this.#callStart(event);
      case 'tool-call-delta':
        return this.#callArguments(event.index, this.#arguments.get(event.index)?.push(event.json) ?? '');
      case 'tool-call-end': {
        this.#ledger.end(event.index, event.repaired === true);
        return this.#callArguments(event.index, this.#arguments.get(event.index)?.end() ?? '');
      }
      case 'token-scores':
        if (event.about === 'text' && this.#request.sampling.logprobs) this.#scores.push(...event.scores);
        break;
      case 'self-report':
        break;
      case 'finish':
        this.#finish = event;
    }
    return '';
  }

  /**
   * The last chunk or two, once everything about the answer is known.
   * @throws LfoError where the answer has no end, or a call in it has none
   */
  end(metadata: AnswerMetadata): string {
    const finish = this.#finish;
    if (finish === undefined) throw cutOff();
    const called = this.#ledger.finishReason(finish.reason);
    const reason = called === 'tool_calls' && this.#request.legacyFunctions === true ? 'function_call' : called;
    let frames = '';
    for (const channel of ['content', 'reasoning_content', 'refusal'] as const) {
      frames += this.#text(channel, this.#channels[channel].end());
    }
    const delta = this.#hasRole ? '{}' : '{"role":"assistant","content":""}';
    const last = `${this.#prefix}${delta},"logprobs":${this.#takeLogprobs()},"finish_reason":"${reason}"`;
    const explained = `"lfo_metadata":${JSON.stringify(metadata)}}\n\n`;
    if (this.#request.includeUsage !== true) return `${frames}${last}}],${explained}${doneFrame}`;
    const usage = JSON.stringify(wireUsage(finish.usage));
    const usageChunk = `${this.#prefix.slice(0, -choiceOpening.length)}],"usage":${usage},${explained}`;
    return `${frames}${last}${this.#suffix}${usageChunk}${doneFrame}`;
  }

  heartbeat(): string {
    return ': waiting\n\n';
  }

  /** A frame, and no [DONE]: a cut must not look like an end. */
  fail(error: LfoError, metadata: AnswerMetadata): string {
    return `data: ${JSON.stringify({ ...errorBody(error), lfo_metadata: metadata })}\n\n`;
  }

  #text(channel: Channel, text: string): string {
    if (text === '') return '';
    const logprobs = channel === 'content' ? this.#takeLogprobs() : 'null';
    return this.#chunk(`"${channel}":${JSON.stringify(text)}`, logprobs);
  }

  #callStart({ index, id, name, thoughtSignature }: Extract<InferenceEvent, { type: 'tool-call-start' }>): string {
    this.#ledger.start(index);
    this.#arguments.set(index, new WellFormedText());
    const call = { name: name.toWellFormed(), arguments: '' };
    if (this.#request.legacyFunctions === true) {
      return index === 0 ? this.#chunk(`"function_call":${JSON.stringify(call)}`) : '';
    }
    const signature = thoughtSignature === undefined ? {} : signatureBody(thoughtSignature);
    const delta = { index, id: id.toWellFormed(), type: 'function', function: call, ...signature };
    return this.#chunk(`"tool_calls":[${JSON.stringify(delta)}]`);
  }

  #callArguments(index: number, json: string): string {
    if (json === '') return '';
    const call = `{"arguments":${JSON.stringify(json)}}`;
    if (this.#request.legacyFunctions === true) return index === 0 ? this.#chunk(`"function_call":${call}`) : '';
    return this.#chunk(`"tool_calls":[{"index":${index},"function":${call}}]`);
  }

  /** `fields` are those of the delta; the first delta carries the role as well. */
  #chunk(fields: string, logprobs = 'null'): string {
    const role = this.#hasRole ? '' : '"role":"assistant",';
    this.#hasRole = true;
    return `${this.#prefix}{${role}${fields}},"logprobs":${logprobs},"finish_reason":null${this.#suffix}`;
  }

  #takeLogprobs(): string {
    if (this.#scores.length === 0) return 'null';
    const content = wireLogprobs(this.#scores, this.#request.sampling.topLogprobs ?? 0);
    this.#scores = [];
    return JSON.stringify({ content, refusal: null });
  }

  #chunkPrefix(model: string): string {
    const head = {
      id: this.#id,
      object: 'chat.completion.chunk',
      created: this.#createdS,
      model: model.toWellFormed(),
    };
    return `data: ${JSON.stringify(head).slice(0, -1)},"choices":[${choiceOpening}`;
  }
}

const choiceOpening = '{"index":0,"delta":';
