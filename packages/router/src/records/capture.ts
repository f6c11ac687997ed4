import { z } from 'zod';
import type { InferenceEvent } from '../core/events.ts';
import { type ChatRequest, type Message, textOf } from '../core/request.ts';
import { parseJson } from '../core/json.ts';
import type { Capture, CapturedAnswer, CapturedCall, CapturedMessage } from './request-view.ts';

/** Characters that are kept of the messages, and of the answer. */
const maxChars = 131_072;

/** Copies prompt and answer of one request; what is beyond a bound is cut, so that memory has one. */
export class CaptureBuilder {
  readonly #request: ChatRequest;
  readonly #left = { messages: maxChars, answer: maxChars };
  readonly #calls = new Map<number, { readonly name: string; arguments: string }>();
  #text = '';
  #reasoning = '';
  #refusal = '';
  #isCut = false;

  constructor(request: ChatRequest) {
    this.#request = request;
  }

  add(event: InferenceEvent): void {
    switch (event.type) {
      case 'text-delta':
        this.#text += this.#take('answer', event.text);
        break;
      case 'reasoning-delta':
        this.#reasoning += this.#take('answer', event.text);
        break;
      case 'refusal-delta':
        this.#refusal += this.#take('answer', event.text);
        break;
      case 'tool-call-start':
        this.#calls.set(event.index, { name: event.name, arguments: '' });
        break;
      case 'tool-call-delta': {
        const call = this.#calls.get(event.index);
        if (call !== undefined) call.arguments += this.#take('answer', event.json);
        break;
      }
      default:
        break;
    }
  }

  /** Everything so far. Call once. */
  capture(): Capture {
    const { messages, tools } = this.#request;
    // The newest first, since they are what one looks for.
    const kept = messages.toReversed().map((message) => this.#message(message));
    const answer: CapturedAnswer = {
      text: this.#text,
      reasoning: this.#reasoning,
      refusal: this.#refusal,
      calls: [...this.#calls.values()],
    };
    return { messages: kept.toReversed(), tools: tools.map(({ name }) => name), answer, isCut: this.#isCut };
  }

  #message(message: Message): CapturedMessage {
    const calls: readonly CapturedCall[] =
      message.role === 'assistant'
        ? message.toolCalls.map(({ name, arguments: json }) => ({ name, arguments: this.#take('messages', json) }))
        : [];
    return {
      role: message.role,
      text: this.#take('messages', textOf(message)),
      attachments: message.content.flatMap(({ type }) => (type === 'text' ? [] : [type])),
      calls,
    };
  }

  #take(from: 'messages' | 'answer', text: string): string {
    const taken = text.length <= this.#left[from] ? text : text.slice(0, this.#left[from]);
    this.#left[from] -= taken.length;
    this.#isCut ||= taken.length < text.length;
    return taken;
  }
}

const calls = z.array(z.object({ name: z.string(), arguments: z.string() }));
const capture = z.object({
  messages: z.array(
    z.object({
      role: z.enum(['system', 'developer', 'user', 'assistant', 'tool']),
      text: z.string(),
      attachments: z.array(z.string()),
      calls,
    }),
  ),
  tools: z.array(z.string()),
  answer: z.object({ text: z.string(), reasoning: z.string(), refusal: z.string(), calls }),
  isCut: z.boolean(),
});

/** A stored capture; `null` where it cannot be read. */
export function readCapture(column: string): Capture | null {
  return capture.safeParse(parseJson(column)).data ?? null;
}
