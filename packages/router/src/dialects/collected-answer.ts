import type { FinishEvent, FinishReason, InferenceEvent, TokenScore } from '../core/events.ts';
import { CallLedger, cutOff } from './call-ledger.ts';
import type { AnswerFacts } from './metadata.ts';

/** A tool call as the answer made it. */
export interface CollectedCall {
  readonly index: number;
  readonly id: string;
  readonly name: string;
  readonly thoughtSignature: string | undefined;
  /** JSON text. */
  readonly arguments: string;
}

/** Gathers the events of one answer, for every wire that answers whole. Texts are well-formed Unicode. */
export class CollectedAnswer {
  readonly #calls = new Map<number, { call: Omit<CollectedCall, 'arguments'>; json: string }>();
  readonly #ledger = new CallLedger();
  readonly #scores: TokenScore[] = [];
  readonly #images: string[] = [];
  #model: string;
  #text = '';
  #reasoning = '';
  #refusal = '';
  #finish: FinishEvent | undefined;

  /** `model` stands until the backend names the one that answers. */
  constructor(model: string) {
    this.#model = model;
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
        this.#calls.set(index, { call: { index, id, name, thoughtSignature }, json: '' });
        break;
      }
      case 'tool-call-delta': {
        const entry = this.#calls.get(event.index);
        if (entry !== undefined) entry.json += event.json;
        break;
      }
      case 'tool-call-end':
        this.#ledger.end(event.index, event.repaired === true);
        break;
      case 'token-scores':
        if (event.about === 'text') this.#scores.push(...event.scores);
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

  /** The model that answered. */
  get model(): string {
    return this.#model.toWellFormed();
  }

  get text(): string {
    return this.#text.toWellFormed();
  }

  get reasoning(): string {
    return this.#reasoning.toWellFormed();
  }

  get refusal(): string {
    return this.#refusal.toWellFormed();
  }

  /** `data:` URLs. */
  get images(): readonly string[] {
    return this.#images;
  }

  /** Of the text's tokens. */
  get scores(): readonly TokenScore[] {
    return this.#scores;
  }

  /** Those that came to their end: half of a cut one's arguments might still parse. */
  get calls(): readonly CollectedCall[] {
    return [...this.#calls.values()]
      .filter(({ call }) => this.#ledger.isComplete(call.index))
      .map(({ call, json }) => ({
        ...call,
        id: call.id.toWellFormed(),
        name: call.name.toWellFormed(),
        arguments: json.toWellFormed(),
      }));
  }

  /** @throws LfoError where the answer has no end, or a call in it has none */
  end(): { readonly finish: FinishEvent; readonly reason: FinishReason } {
    if (this.#finish === undefined) throw cutOff();
    return { finish: this.#finish, reason: this.#ledger.finishReason(this.#finish.reason) };
  }
}
