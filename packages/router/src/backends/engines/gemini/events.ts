import { BackendError } from '../../../core/errors.ts';
import type { FinishReason, InferenceEvent, TokenScore } from '../../../core/events.ts';
import type { JsonObject } from '../../../core/json.ts';
import { isJsonObject } from '../../../core/json.ts';
import { endingOf } from './finish-reason.ts';
import { PartialArguments } from './partial-args.ts';
import type { ToolCallIds } from './tool-call-ids.ts';
import type { ToolNames } from './tool-names.ts';
import { UsageMeter } from './usage.ts';
import type { AnswerChunk, AnswerFunctionCall, AnswerLogprobs, AnswerPart } from './wire.ts';

/** What an answer is read with. */
export interface AnswerContext {
  /** Id of the backend, for errors. */
  readonly backend: string;
  /** Named where the answer does not say. */
  readonly model: string;
  readonly names: ToolNames;
  readonly ids: ToolCallIds;
  /** `parallel_tool_calls: false`: calls after the first are dropped. */
  readonly keepsFirstCall: boolean;
  /** For an estimate of the prompt where the answer brings no counts. */
  readonly promptCharacters: number;
  /** A call came with a signature, to be kept for a client that will lose it. */
  onSigned(call: { readonly id: string; readonly name: string; readonly arguments: string }, signature: string): void;
}

interface OpenCall {
  readonly call: AnswerFunctionCall;
  readonly signature: string | undefined;
  readonly partial: PartialArguments;
}

/** Turns the chunks of one answer into events. One reader an answer. */
export class AnswerReader {
  readonly #context: AnswerContext;
  readonly #usage = new UsageMeter();
  #hasStarted = false;
  #hasContent = false;
  #calls = 0;
  #open: OpenCall | undefined;
  #nativeReason: string | undefined;
  #isBlocked = false;
  #hasEnded = false;

  constructor(context: AnswerContext) {
    this.#context = context;
  }

  /** Whether Gemini has said that the answer is over; counts may still follow. */
  get isOver(): boolean {
    return this.#nativeReason !== undefined;
  }

  /** Whether the last events were taken. */
  get hasEnded(): boolean {
    return this.#hasEnded;
  }

  /** A `start` comes before the first event; a chunk without content gives none. */
  read(chunk: AnswerChunk): InferenceEvent[] {
    const events: InferenceEvent[] = [];
    const candidate = chunk.candidates?.[0];
    this.#usage.add(chunk.usageMetadata);
    const hadCalls = this.#calls;
    const content: InferenceEvent[] = [];
    for (const part of candidate?.content?.parts ?? []) this.#readPart(part, content);
    if (candidate?.logprobsResult) {
      const isText = this.#calls === hadCalls && this.#open === undefined;
      events.push(...scoresOf(candidate.logprobsResult, isText ? 'text' : 'tool-call'));
    }
    events.push(...content);
    this.#nativeReason = candidate?.finishReason ?? this.#nativeReason;
    const blocked = chunk.promptFeedback?.blockReason;
    if (typeof blocked === 'string' && candidate === undefined) {
      this.#isBlocked = true;
      this.#nativeReason = blocked;
    }
    return this.#started(events, chunk.modelVersion ?? undefined);
  }

  /**
   * The last events, `finish` among them.
   * @throws BackendError `cut` when the answer was not over, `unusable` for a malformed call or no answer at all
   */
  end(): InferenceEvent[] {
    const native = this.#nativeReason;
    if (native === undefined) throw this.#fault('cut', 'The backend broke off its answer; try again.');
    const seen = { calls: this.#calls > 0 || this.#open !== undefined, content: this.#hasContent };
    const ending = this.#isBlocked ? 'content_filter' : endingOf(native, seen);
    if (ending === 'malformed_call') {
      throw this.#fault('unusable', 'The model made a malformed tool call; try again.', malformedCall);
    }
    const events: InferenceEvent[] = [];
    // The end of streamed arguments may go unsaid; a call that ran into a limit stays unfinished and is not told.
    if (ending === 'tool_calls') this.#closeCall(events);
    const isEmpty = !this.#hasContent && this.#calls === 0;
    if (isEmpty && (ending === 'stop' || ending === 'tool_calls')) {
      throw this.#fault('unusable', 'The model gave an empty answer; try again.');
    }
    this.#hasEnded = true;
    events.push(this.#finish(ending, native));
    return this.#started(events, undefined);
  }

  #finish(reason: FinishReason, nativeReason: string): InferenceEvent {
    return { type: 'finish', reason, nativeReason, usage: this.#usage.read(this.#context.promptCharacters) };
  }

  #started(events: InferenceEvent[], model: string | undefined): InferenceEvent[] {
    if (this.#hasStarted || events.length === 0) return events;
    this.#hasStarted = true;
    return [{ type: 'start', model: model ?? this.#context.model }, ...events];
  }

  #readPart(part: AnswerPart, events: InferenceEvent[]): void {
    if (part.functionCall !== undefined) this.#readCall(part.functionCall, part.thoughtSignature, events);
    if (part.inlineData !== undefined && part.thought !== true) this.#readMedia(part.inlineData, events);
    if (part.text === undefined || part.text === '') return;
    this.#usage.wrote(part.text.length);
    if (part.thought === true) {
      events.push({ type: 'reasoning-delta', text: part.text });
    } else {
      this.#hasContent = true;
      events.push({ type: 'text-delta', text: part.text });
    }
  }

  /** Media types and base64 as they should be: the URL goes to the client as it is. */
  #readMedia({ mimeType, data }: NonNullable<AnswerPart['inlineData']>, events: InferenceEvent[]): void {
    if (!/^image\/[\w.+-]{1,40}$/.test(mimeType) || !/^[A-Za-z0-9+/_=-]+$/.test(data)) return;
    this.#hasContent = true;
    events.push({ type: 'image', url: `data:${mimeType};base64,${data}` });
  }

  /** A name opens a call; it is whole when nothing more is announced. */
  #readCall(call: AnswerFunctionCall, signature: string | undefined, events: InferenceEvent[]): void {
    if (call.name !== undefined && call.name !== '') {
      this.#closeCall(events);
      this.#open = { call, signature, partial: new PartialArguments() };
    }
    if (this.#open === undefined) return;
    for (const partial of call.partialArgs ?? []) this.#open.partial.add(partial);
    if (isJsonObject(call.args)) this.#open = { ...this.#open, call: { ...this.#open.call, args: call.args } };
    if (call.willContinue !== true) this.#closeCall(events);
  }

  #closeCall(events: InferenceEvent[]): void {
    const open = this.#open;
    this.#open = undefined;
    if (open === undefined || (this.#context.keepsFirstCall && this.#calls > 0)) return;
    const index = this.#calls++;
    const id = this.#context.ids.next(open.call.id);
    const name = this.#context.names.client(open.call.name ?? '');
    const args: JsonObject = isJsonObject(open.call.args) ? open.call.args : open.partial.toJson();
    const json = JSON.stringify(args);
    const { signature } = open;
    if (signature !== undefined) this.#context.onSigned({ id, name, arguments: json }, signature);
    this.#usage.wrote(json.length);
    const signed = signature === undefined ? {} : { thoughtSignature: signature };
    events.push(
      { type: 'tool-call-start', index, id, name, ...signed },
      { type: 'tool-call-delta', index, json },
      { type: 'tool-call-end', index },
    );
  }

  #fault(fault: 'cut' | 'unusable', message: string, code?: string): BackendError {
    return new BackendError(message, {
      fault,
      backend: this.#context.backend,
      ...(code === undefined ? {} : { code }),
    });
  }
}

/** Code of the error for a tool call the model could not write; worth one more try. */
export const malformedCall = 'malformed_function_call';

function scoresOf(result: AnswerLogprobs, about: 'text' | 'tool-call'): InferenceEvent[] {
  const scores: TokenScore[] = [];
  for (const [index, chosen] of (result.chosenCandidates ?? []).entries()) {
    if (chosen.token === undefined || chosen.logProbability === undefined) continue;
    const top = (result.topCandidates?.[index]?.candidates ?? []).flatMap(({ token, logProbability }) =>
      token === undefined || logProbability === undefined ? [] : [{ token, logprob: Math.min(0, logProbability) }],
    );
    const score = { token: chosen.token, logprob: Math.min(0, chosen.logProbability) };
    scores.push(top.length === 0 ? score : { ...score, top });
  }
  return scores.length === 0 ? [] : [{ type: 'token-scores', scores, about }];
}
