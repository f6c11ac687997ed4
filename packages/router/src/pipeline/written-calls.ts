import { type ParsedPart, ToolCallParser } from '@lfo/device-core/tool-calls';
import { mayCall } from '../core/can-serve.ts';
import type { InferenceEvent, TokenScore } from '../core/events.ts';
import type { ChatRequest, Tier } from '../core/request.ts';

type Batch = readonly InferenceEvent[];

/**
 * Calls that a model wrote as text, for servers that leave them there: their text becomes a call of a tool that was
 * offered, everything else stays as it came. `undefined` where no call is wanted, or text of that form is.
 */
export function writtenCalls(request: ChatRequest, tier: Tier): WrittenCalls | undefined {
  const { type } = request.responseFormat ?? { type: 'text' };
  return mayCall(request) && type === 'text' ? new WrittenCalls(request, tier) : undefined;
}

/** Reads the events of one answer in order. Text is held for as long as it may be a call. */
export class WrittenCalls {
  readonly #parser: ToolCallParser;
  readonly #idPrefix: string;
  /** A cloud's model that speaks may well quote a call; only an answer that is one from its first sign on counts. */
  readonly #isOpeningOnly: boolean;
  #scores: TokenScore[] = [];
  #hasBegun = false;
  #isOver = false;
  #made = 0;

  constructor({ id, tools }: Pick<ChatRequest, 'id' | 'tools'>, tier: Tier) {
    this.#parser = new ToolCallParser(
      tools.map(({ name }) => name),
      { isDeclaredOnly: true },
    );
    this.#idPrefix = `call_${id.replaceAll('-', '').slice(-16)}w`;
    this.#isOpeningOnly = tier === 'cloud';
  }

  /** The same events, with calls in place of the texts that are some. */
  read(batch: Batch): Batch {
    if (this.#isOver && this.#made === 0) return batch;
    const events: InferenceEvent[] = [];
    for (const event of batch) this.#readOne(event, events);
    return events;
  }

  #readOne(event: InferenceEvent, events: InferenceEvent[]): void {
    switch (event.type) {
      case 'text-delta':
        if (this.#isOpeningOnly && !this.#hasBegun) this.#begin(event.text, events);
        if (this.#isOver) return void events.push(event);
        return this.#emit(this.#parser.push(event.text), events);
      case 'token-scores':
        if (this.#isOver || event.about !== 'text') return void events.push(event);
        return void this.#scores.push(...event.scores);
      case 'tool-call-start':
        // It knows the proper form.
        this.#end('stopped', events);
        return void events.push({ ...event, index: event.index + this.#made });
      case 'tool-call-delta':
      case 'tool-call-end':
        return void events.push({ ...event, index: event.index + this.#made });
      case 'finish': {
        const { reason } = event;
        this.#end(reason === 'length' || reason === 'content_filter' ? 'cut' : 'stopped', events);
        const isCalling = reason === 'stop' && this.#made > 0;
        return void events.push(isCalling ? { ...event, reason: 'tool_calls', nativeReason: reason } : event);
      }
      default:
        events.push(event);
    }
  }

  /** Whether the first sign of an answer may be that of a call. */
  #begin(text: string, events: InferenceEvent[]): void {
    const first = text.trimStart().at(0);
    if (first === undefined) return;
    this.#hasBegun = true;
    if (!'<`{['.includes(first)) this.#end('stopped', events);
  }

  #end(why: 'stopped' | 'cut', events: InferenceEvent[]): void {
    if (this.#isOver) return;
    this.#emit(this.#parser.end(why), events);
    this.#takeScores('text', events);
    this.#isOver = true;
  }

  #emit(parts: readonly ParsedPart[], events: InferenceEvent[]): void {
    if (parts.some(({ k }) => k === 'call')) this.#takeScores('tool-call', events);
    else if (this.#parser.inside === 'text') this.#takeScores('text', events);
    for (const part of parts) {
      if (part.k === 'text') {
        events.push({ type: 'text-delta', text: part.text });
        continue;
      }
      const index = this.#made++;
      const { name, json } = part.call;
      events.push({ type: 'tool-call-start', index, id: `${this.#idPrefix}_${index}`, name });
      if (json !== '') events.push({ type: 'tool-call-delta', index, json });
      if (!part.isComplete) continue;
      events.push({ type: 'tool-call-end', index, ...(part.call.repaired && { repaired: true }) });
    }
  }

  #takeScores(about: 'text' | 'tool-call', events: InferenceEvent[]): void {
    if (this.#scores.length === 0) return;
    events.push({ type: 'token-scores', scores: this.#scores, about });
    this.#scores = [];
  }
}
