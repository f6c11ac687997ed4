import type { LfoError } from '../../core/errors.ts';
import type { FinishEvent, FinishReason, InferenceEvent, Usage } from '../../core/events.ts';
import { isJsonObject, parseJson } from '../../core/json.ts';
import type { ChatRequest } from '../../core/request.ts';
import { CallLedger, cutOff } from '../call-ledger.ts';
import { CollectedAnswer } from '../collected-answer.ts';
import type { AnswerFacts, AnswerMetadata } from '../metadata.ts';
import type { FlatTools } from '../tools.ts';
import { count } from '../usage.ts';
import { WellFormedText } from '../well-formed.ts';
import type { AnswerContext, AnswerFormat, AnswerStream, WholeAnswer } from '../wire.ts';
import { anthropicError } from './errors.ts';

/** Ours, and ignored when it comes back: thoughts of other models cannot be verified by anyone. */
const thinkingSignature = 'bGZv';

/** Messages and their events. */
export class MessagesFormat implements AnswerFormat {
  readonly dialect = 'anthropic';
  readonly headers: Readonly<Record<string, string>>;
  readonly streamType = 'text/event-stream; charset=utf-8';
  readonly #request: ChatRequest;
  readonly #model: string;
  readonly #tools: FlatTools;
  readonly #isThinkingShown: boolean;

  constructor(request: ChatRequest, model: string, tools: FlatTools, isThinkingShown: boolean) {
    this.#request = request;
    // The one its SDK shows.
    this.headers = { 'request-id': request.id };
    this.#model = model;
    this.#tools = tools;
    this.#isThinkingShown = isThinkingShown;
  }

  errorBody(error: LfoError): object {
    return anthropicError(error, this.#request.id);
  }

  whole(): WholeAnswer {
    const answer = new CollectedAnswer(this.#request.model);
    return {
      facts: () => answer.facts,
      add: (event) => answer.add(event),
      body: (metadata) => ({ ...this.#message(answer), lfo_metadata: metadata }),
    };
  }

  stream(context: AnswerContext): AnswerStream {
    return new MessageStream({
      id: messageId(this.#request.id),
      model: this.#model,
      tools: this.#tools,
      isThinkingShown: this.#isThinkingShown,
      stops: this.#request.sampling.stop,
      promptTokens: context.promptTokens,
      errorBody: (error) => this.errorBody(error),
    });
  }

  #message(answer: CollectedAnswer): object {
    const { finish, reason } = answer.end();
    const content: object[] = [];
    if (this.#isThinkingShown && answer.reasoning !== '') {
      content.push({ type: 'thinking', thinking: answer.reasoning, signature: thinkingSignature });
    }
    const text = answer.text + answer.refusal;
    if (text !== '' || answer.calls.length === 0) content.push({ type: 'text', text });
    for (const { id, name, arguments: json } of answer.calls) {
      const input = parseJson(json);
      content.push({
        type: 'tool_use',
        id,
        name: this.#tools.originOf(name).name,
        input: isJsonObject(input) ? input : {},
      });
    }
    return {
      id: messageId(this.#request.id),
      type: 'message',
      role: 'assistant',
      model: this.#model,
      content,
      ...stopOf(finish, { reason, hasRefused: answer.refusal !== '', stops: this.#request.sampling.stop }),
      usage: wireUsage(finish.usage),
    };
  }
}

interface MessageStreamOptions {
  /** Sequences that the client wants its answer ended by. */
  readonly stops: readonly string[];
  readonly id: string;
  readonly model: string;
  readonly tools: FlatTools;
  readonly isThinkingShown: boolean;
  readonly promptTokens: () => number | undefined;
  readonly errorBody: (error: LfoError) => object;
}

type BlockKind = 'text' | 'thinking' | 'tool_use';

/** Writes a message block by block: at most one is open, each index once and in order. */
class MessageStream implements AnswerStream {
  readonly #options: MessageStreamOptions;
  readonly #ledger = new CallLedger();
  #open: { readonly index: number; readonly kind: BlockKind; readonly text: WellFormedText } | undefined;
  #blocks = 0;
  #hasStarted = false;
  #hasRefused = false;
  #finish: FinishEvent | undefined;
  /** Calls that began while another was open, written once that one has ended. */
  readonly #waiting = new Map<number, { readonly start: object; json: string; isEnded: boolean }>();
  #openCall: number | undefined;

  constructor(options: MessageStreamOptions) {
    this.#options = options;
  }

  get facts(): AnswerFacts {
    return { finish: this.#finish, repairedCalls: this.#ledger.repaired };
  }

  encode(event: InferenceEvent): string {
    switch (event.type) {
      case 'text-delta':
        return this.#text('text', event.text);
      case 'refusal-delta':
        this.#hasRefused = true;
        return this.#text('text', event.text);
      case 'reasoning-delta':
        return this.#options.isThinkingShown ? this.#text('thinking', event.text) : '';
      case 'tool-call-start': {
        const { index, id, name } = event;
        this.#ledger.start(index);
        const origin = this.#options.tools.originOf(name).name;
        const start = { type: 'tool_use', id: id.toWellFormed(), name: origin.toWellFormed(), input: {} };
        if (this.#openCall === undefined) {
          this.#openCall = index;
          return this.#begin('tool_use', start);
        }
        this.#waiting.set(index, { start, json: '', isEnded: false });
        return '';
      }
      case 'tool-call-delta': {
        if (event.index === this.#openCall) return this.#delta(event.json);
        const waiting = this.#waiting.get(event.index);
        if (waiting !== undefined) waiting.json += event.json;
        return '';
      }
      case 'tool-call-end':
        this.#ledger.end(event.index, event.repaired === true);
        return this.#callEnd(event.index);
      case 'finish':
        this.#finish = event;
        return '';
      default:
        return '';
    }
  }

  /** A ping is an event of the message, so there is none before its start. */
  heartbeat(): string {
    return this.#hasStarted ? frame({ type: 'ping' }) : ': waiting\n\n';
  }

  end(metadata: AnswerMetadata): string {
    const finish = this.#finish;
    if (finish === undefined) throw cutOff();
    const reason = this.#ledger.finishReason(finish.reason);
    // A message without a block would be one without content, which its clients take for a broken answer.
    const empty = this.#blocks === 0 ? this.#begin('text', { type: 'text', text: '' }) : '';
    const end = {
      type: 'message_delta',
      delta: stopOf(finish, { reason, hasRefused: this.#hasRefused, stops: this.#options.stops }),
      usage: wireUsage(finish.usage),
    };
    return `${empty}${this.#close()}${frame(end)}${frame({ type: 'message_stop', lfo_metadata: metadata })}`;
  }

  fail(error: LfoError, metadata: AnswerMetadata): string {
    return frame({ ...this.#options.errorBody(error), type: 'error', lfo_metadata: metadata });
  }

  #text(kind: 'text' | 'thinking', text: string): string {
    if (text === '') return '';
    const start = kind === 'text' ? { type: 'text', text: '' } : { type: 'thinking', thinking: '', signature: '' };
    const begin = this.#open?.kind === kind ? '' : this.#begin(kind, start);
    return begin + this.#delta(text);
  }

  #begin(kind: BlockKind, start: object): string {
    const before = this.#start() + this.#close();
    const index = this.#blocks++;
    this.#open = { index, kind, text: new WellFormedText() };
    return before + frame({ type: 'content_block_start', index, content_block: start });
  }

  #delta(piece: string): string {
    const open = this.#open;
    if (open === undefined) return '';
    const text = open.text.push(piece);
    return text === '' ? '' : deltaFrame(open.index, open.kind, text);
  }

  #close(): string {
    const open = this.#open;
    if (open === undefined) return '';
    this.#open = undefined;
    const rest = open.text.end();
    const last = rest === '' ? '' : deltaFrame(open.index, open.kind, rest);
    const signed =
      open.kind === 'thinking'
        ? frame({
            type: 'content_block_delta',
            index: open.index,
            delta: { type: 'signature_delta', signature: thinkingSignature },
          })
        : '';
    return `${last}${signed}${frame({ type: 'content_block_stop', index: open.index })}`;
  }

  #callEnd(index: number): string {
    const waiting = this.#waiting.get(index);
    if (waiting !== undefined) waiting.isEnded = true;
    if (index !== this.#openCall) return '';
    let frames = this.#close();
    this.#openCall = undefined;
    for (const [next, { start, json, isEnded }] of this.#waiting) {
      this.#waiting.delete(next);
      frames += this.#begin('tool_use', start) + this.#delta(json);
      if (!isEnded) {
        this.#openCall = next;
        break;
      }
      frames += this.#close();
    }
    return frames;
  }

  #start(): string {
    if (this.#hasStarted) return '';
    this.#hasStarted = true;
    return frame({
      type: 'message_start',
      message: {
        id: this.#options.id,
        type: 'message',
        role: 'assistant',
        model: this.#options.model,
        content: [],
        stop_reason: null,
        stop_sequence: null,
        usage: {
          input_tokens: this.#options.promptTokens() ?? 0,
          cache_creation_input_tokens: 0,
          cache_read_input_tokens: 0,
          output_tokens: 0,
        },
      },
    });
  }
}

function deltaFrame(index: number, kind: BlockKind, text: string): string {
  const delta =
    kind === 'text'
      ? { type: 'text_delta', text }
      : kind === 'thinking'
        ? { type: 'thinking_delta', thinking: text }
        : { type: 'input_json_delta', partial_json: text };
  return frame({ type: 'content_block_delta', index, delta });
}

function frame(event: { readonly type: string; readonly [field: string]: unknown }): string {
  return `event: ${event.type}\ndata: ${JSON.stringify(event)}\n\n`;
}

/** How an answer ended; the sequence that ended it is known where the backend names one of the client's. */
function stopOf(
  { stopSequence }: FinishEvent,
  end: { readonly reason: FinishReason; readonly hasRefused: boolean; readonly stops: readonly string[] },
): { readonly stop_reason: string; readonly stop_sequence: string | null } {
  const { reason, hasRefused, stops } = end;
  if (reason === 'stop' && !hasRefused && stopSequence !== undefined && stops.includes(stopSequence)) {
    return { stop_reason: 'stop_sequence', stop_sequence: stopSequence };
  }
  return { stop_reason: stopReason(reason, hasRefused), stop_sequence: null };
}

function stopReason(reason: FinishReason, hasRefused: boolean): string {
  switch (reason) {
    case 'length':
      return 'max_tokens';
    case 'tool_calls':
      return 'tool_use';
    case 'content_filter':
      return 'refusal';
    default:
      return hasRefused ? 'refusal' : 'end_turn';
  }
}

/** Tokens read from a cache are counted apart here, not within the input. */
function wireUsage({ promptTokens, completionTokens, cachedTokens }: Usage) {
  const cached = Math.min(count(cachedTokens), count(promptTokens));
  return {
    input_tokens: count(promptTokens) - cached,
    cache_creation_input_tokens: 0,
    cache_read_input_tokens: cached,
    output_tokens: count(completionTokens),
  };
}

function messageId(requestId: string): string {
  return `msg_${requestId}`;
}
