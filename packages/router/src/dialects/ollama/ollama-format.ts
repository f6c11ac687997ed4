import type { LfoError } from '../../core/errors.ts';
import type { FinishEvent, InferenceEvent } from '../../core/events.ts';
import { isJsonObject, parseJson } from '../../core/json.ts';
import type { ChatRequest } from '../../core/request.ts';
import { CallLedger, cutOff } from '../call-ledger.ts';
import { CollectedAnswer } from '../collected-answer.ts';
import type { AnswerFacts, AnswerMetadata } from '../metadata.ts';
import type { FlatTools } from '../tools.ts';
import { count } from '../usage.ts';
import { WellFormedText } from '../well-formed.ts';
import type { AnswerContext, AnswerFormat, AnswerStream, WholeAnswer } from '../wire.ts';
import { ollamaError } from './errors.ts';

export interface OllamaFormatOptions {
  readonly request: ChatRequest;
  /** As asked. */
  readonly model: string;
  readonly tools: FlatTools;
  /** `/api/chat` has messages, `/api/generate` has texts. */
  readonly form: 'chat' | 'generate';
  readonly isThinkingShown: boolean;
}

/** Ollama's lines, or the last of them alone. */
export class OllamaFormat implements AnswerFormat {
  readonly dialect = 'ollama';
  readonly headers = {};
  readonly streamType = 'application/x-ndjson';
  readonly errorBody = ollamaError;
  readonly #options: OllamaFormatOptions;

  constructor(options: OllamaFormatOptions) {
    this.#options = options;
  }

  whole(context: AnswerContext): WholeAnswer {
    const options = this.#options;
    const answer = new CollectedAnswer(options.request.model);
    return {
      facts: () => answer.facts,
      add: (event) => answer.add(event),
      body(metadata) {
        const { finish } = answer.end();
        const calls = answer.calls.map(({ id, name, arguments: json }) =>
          callBody(id, options.tools.originOf(name).name, json),
        );
        return {
          ...said(options, answer.text + answer.refusal, answer.reasoning, calls, context),
          ...doneFields(finish, context),
          lfo_metadata: metadata,
        };
      },
    };
  }

  stream(context: AnswerContext): AnswerStream {
    return new OllamaStream(this.#options, context);
  }
}

class OllamaStream implements AnswerStream {
  readonly #options: OllamaFormatOptions;
  readonly #context: AnswerContext;
  readonly #ledger = new CallLedger();
  readonly #text = new WellFormedText();
  readonly #thought = new WellFormedText();
  readonly #calls = new Map<number, { readonly id: string; readonly name: string; json: string }>();
  #finish: FinishEvent | undefined;

  constructor(options: OllamaFormatOptions, context: AnswerContext) {
    this.#options = options;
    this.#context = context;
  }

  get facts(): AnswerFacts {
    return { finish: this.#finish, repairedCalls: this.#ledger.repaired };
  }

  encode(event: InferenceEvent): string {
    switch (event.type) {
      case 'text-delta':
      case 'refusal-delta':
        return this.#say(this.#text.push(event.text), '');
      case 'reasoning-delta':
        return this.#options.isThinkingShown ? this.#say('', this.#thought.push(event.text)) : '';
      case 'tool-call-start':
        this.#ledger.start(event.index);
        this.#calls.set(event.index, {
          id: event.id,
          name: this.#options.tools.originOf(event.name).name,
          json: '',
        });
        return '';
      case 'tool-call-delta': {
        const call = this.#calls.get(event.index);
        if (call !== undefined) call.json += event.json;
        return '';
      }
      case 'tool-call-end': {
        this.#ledger.end(event.index, event.repaired === true);
        const call = this.#calls.get(event.index);
        if (call === undefined) return '';
        return this.#line('', '', [callBody(call.id, call.name, call.json.toWellFormed())]);
      }
      case 'finish':
        this.#finish = event;
        return '';
      default:
        return '';
    }
  }

  /** Its clients wait for lines and know no comment. */
  heartbeat(): string {
    return this.#line('', '', []);
  }

  end(metadata: AnswerMetadata): string {
    const finish = this.#finish;
    if (finish === undefined) throw cutOff();
    this.#ledger.finishReason(finish.reason);
    const rest = this.#say('', this.#thought.end()) + this.#say(this.#text.end(), '');
    const last = {
      ...said(this.#options, '', '', [], this.#context),
      ...doneFields(finish, this.#context),
      lfo_metadata: metadata,
    };
    return `${rest}${JSON.stringify(last)}\n`;
  }

  fail(error: LfoError, metadata: AnswerMetadata): string {
    return `${JSON.stringify({ ...ollamaError(error), lfo_metadata: metadata })}\n`;
  }

  #say(text: string, thinking: string): string {
    return text === '' && thinking === '' ? '' : this.#line(text, thinking, []);
  }

  #line(text: string, thinking: string, calls: readonly object[]): string {
    const line = { ...said(this.#options, text, thinking, calls, this.#context), done: false };
    return `${JSON.stringify(line)}\n`;
  }
}

function said(
  { model, form, isThinkingShown }: OllamaFormatOptions,
  text: string,
  thinking: string,
  calls: readonly object[],
  { createdS, elapsedMs }: AnswerContext,
): object {
  const shown = isThinkingShown && thinking !== '' ? { thinking } : {};
  const head = { model, created_at: new Date(createdS * 1000 + elapsedMs()).toISOString() };
  if (form === 'generate') return { ...head, response: text, ...shown };
  return {
    ...head,
    message: { role: 'assistant', content: text, ...shown, ...(calls.length > 0 && { tool_calls: calls }) },
  };
}

function doneFields({ reason, usage }: FinishEvent, { elapsedMs }: AnswerContext): object {
  const totalNs = Math.max(0, Math.round(elapsedMs() * 1e6));
  return {
    done: true,
    done_reason: reason === 'length' ? 'length' : 'stop',
    total_duration: totalNs,
    load_duration: 0,
    prompt_eval_count: count(usage.promptTokens),
    prompt_eval_duration: 0,
    eval_count: count(usage.completionTokens),
    eval_duration: totalNs,
  };
}

function callBody(id: string, name: string, json: string): object {
  const args = parseJson(json);
  return {
    id: id.toWellFormed(),
    function: { name: name.toWellFormed(), arguments: isJsonObject(args) ? args : {} },
  };
}
