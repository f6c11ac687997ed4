import type { FinishEvent, InferenceEvent, TokenScore } from '../../core/events.ts';
import type { ChatRequest } from '../../core/request.ts';
import { CallLedger, cutOff } from './call-ledger.ts';
import { wireLogprobs } from './logprobs.ts';
import type { AnswerFacts } from '../metadata.ts';
import { wireUsage } from './usage.ts';

interface CollectedCall {
  readonly index: number;
  readonly id: string;
  readonly name: string;
  readonly thoughtSignature: string | undefined;
  arguments: string;
}

/** Gathers the events of one answer into one completion. */
export class Completion {
  #model: string;
  #text = '';
  #reasoning = '';
  #refusal = '';
  readonly #calls = new Map<number, CollectedCall>();
  readonly #ledger = new CallLedger();
  readonly #scores: TokenScore[] = [];
  readonly #images: string[] = [];
  #finish: FinishEvent | undefined;
  readonly #request: ChatRequest;

  constructor(request: ChatRequest) {
    this.#request = request;
    this.#model = request.model;
  }

  add(event: InferenceEvent): void {
    switch (event.type) {
      case 'start':
        this.#model = event.model;
        break;
      case 'text-delta':
        this.#text += event.text;
        break;
      case 'reasoning-delta':
        this.#reasoning += event.text;
        break;
      case 'refusal-delta':
        this.#refusal += event.text;
        break;
      case 'image':
        this.#images.push(event.url);
        break;
      case 'tool-call-start': {
        const { index, id, name, thoughtSignature } = event;
        this.#ledger.start(index);
        this.#calls.set(index, { index, id, name, thoughtSignature, arguments: '' });
        break;
      }
      case 'tool-call-delta': {
        const call = this.#calls.get(event.index);
        if (call !== undefined) call.arguments += event.json;
        break;
      }
      case 'tool-call-end':
        this.#ledger.end(event.index, event.repaired === true);
        break;
      case 'token-scores':
        if (event.about === 'text' && this.#request.sampling.logprobs) this.#scores.push(...event.scores);
        break;
      case 'self-report':
        break;
      case 'finish':
        this.#finish = event;
    }
  }

  get facts(): AnswerFacts {
    return { finish: this.#finish, repairedCalls: this.#ledger.repaired };
  }

  /** @throws LfoError where the answer has no end, or a call in it has none */
  body(id: string, createdS: number) {
    const finish = this.#finish;
    if (finish === undefined) throw cutOff();
    const isLegacy = this.#request.legacyFunctions === true;
    const reason = this.#ledger.finishReason(finish.reason, isLegacy);
    const { logprobs, topLogprobs } = this.#request.sampling;
    const content = logprobs ? wireLogprobs(this.#scores, topLogprobs ?? 0) : undefined;
    return {
      id,
      object: 'chat.completion',
      created: createdS,
      model: this.#model.toWellFormed(),
      choices: [
        {
          index: 0,
          message: this.#message(isLegacy),
          logprobs: content === undefined ? null : { content, refusal: null },
          finish_reason: reason,
        },
      ],
      usage: wireUsage(finish.usage),
    };
  }

  #message(isLegacy: boolean) {
    // A call cut off by the token limit is left out: half of its arguments might still parse.
    const calls = [...this.#calls.values()].filter(({ index }) => this.#ledger.isComplete(index));
    const [first] = calls;
    const said = this.#text !== '' || (first === undefined && this.#refusal === '' && this.#images.length === 0);
    return {
      role: 'assistant',
      content: said ? this.#text.toWellFormed() : null,
      refusal: this.#refusal === '' ? null : this.#refusal.toWellFormed(),
      ...(this.#reasoning !== '' && { reasoning_content: this.#reasoning.toWellFormed() }),
      ...(this.#images.length > 0 && { images: this.#images.map(imageBody) }),
      ...(isLegacy && first !== undefined && { function_call: functionBody(first) }),
      ...(!isLegacy && first !== undefined && { tool_calls: calls.map(toolCallBody) }),
    };
  }
}

function toolCallBody(call: CollectedCall) {
  return {
    id: call.id.toWellFormed(),
    type: 'function',
    function: functionBody(call),
    ...(call.thoughtSignature !== undefined && signatureBody(call.thoughtSignature)),
  };
}

function functionBody({ name, arguments: json }: CollectedCall) {
  return { name: name.toWellFormed(), arguments: json.toWellFormed() };
}

/** As gateways in front of image models write it: OpenAI's own wire has no place for it. */
export function imageBody(url: string) {
  return { type: 'image_url', image_url: { url } };
}

/** Where Google's own compatible layer puts it, and so where clients look for it to send it back. */
export function signatureBody(signature: string) {
  return { extra_content: { google: { thought_signature: signature } } };
}
