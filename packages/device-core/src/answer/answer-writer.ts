import type { AnswerPart } from '@lfo/protocol';
import { EngineError } from '../engine/engine.ts';
import { ToolCallParser, type ParsedPart } from '../tool-calls/tool-call-parser.ts';
import { LoopGuard } from './loop-guard.ts';
import { ReasoningSplitter, type Segment } from './reasoning-splitter.ts';
import type { Score } from './scores.ts';
import { StopScanner } from './stop-sequences.ts';

type Scores = Extract<AnswerPart, { k: 'scores' }>;

/** How an answer's text becomes its parts. */
export interface WriterOptions {
  /** Names of the tools offered; with none, text is never searched for calls. */
  readonly tools: readonly string[];
  readonly stop: readonly string[];
  readonly taken: Scores['taken'];
  /** Text tokens to score; a call begun among them is scored whole. Infinity: all. */
  readonly scoredTokens: number;
  readonly newCallId: () => string;
  /** Whether the prompt ends inside the model's thinking. */
  readonly isThinking: boolean;
  /** A grammar says what may follow; absent: none does. */
  readonly isForced?: boolean;
  /** What the grammar could not say; the text or call concerned is then held until it is whole and checked. */
  readonly checks: AnswerChecks;
}

/** Checks an answer for what no grammar could say; absent where there is nothing of the kind. */
export interface AnswerChecks {
  readonly isValidText?: (value: unknown) => boolean;
  /** The same for the arguments of a call. */
  readonly isValidCall?: (name: string, args: unknown) => boolean;
}

/** Turns decoded text into the parts of an answer: text up to a stop sequence, whole tool calls, scores. */
export class AnswerWriter {
  readonly #options: WriterOptions;
  readonly #reasoning: ReasoningSplitter;
  readonly #parser: ToolCallParser | undefined;
  readonly #stops: StopScanner;
  readonly #loops: LoopGuard;
  #scores: Score[] = [];
  #scoresLeft: number;
  #heldText = '';
  #calls = 0;
  #stopped = false;
  #hasLooped = false;

  constructor(options: WriterOptions) {
    this.#options = options;
    this.#reasoning = new ReasoningSplitter(options.isThinking);
    this.#parser = options.tools.length > 0 ? new ToolCallParser(options.tools) : undefined;
    this.#stops = new StopScanner(options.stop);
    this.#loops = new LoopGuard(options.isForced);
    this.#scoresLeft = options.scoredTokens;
  }

  /** Whether the answer is over: a stop sequence was met, text after a call, or a loop; nothing may be pushed then. */
  get stopped(): boolean {
    return this.#stopped || this.#hasLooped;
  }

  /** Whether the model repeats itself for ever, so that the answer is cut here: its end is `length`. */
  get hasLooped(): boolean {
    return this.#hasLooped;
  }

  /** Whether the next token is to be pushed with its score; once the text needs none, no later token does. */
  get wantsScore(): boolean {
    return this.#scoresLeft > 0 && !this.#reasoning.isInside;
  }

  /** Calls written so far. */
  get calls(): number {
    return this.#calls;
  }

  /** Takes one token's text and score. @throws EngineError when a call violates its schema. */
  push(text: string, score?: Score): AnswerPart[] {
    const calls = this.#calls;
    const parts = this.#segments(this.#reasoning.push(text));
    this.#hasLooped = !this.#stopped && this.#loops.push(text);
    if (score === undefined || this.#stopped) return parts;
    this.#scores.push(score);
    // The tag that opened the thinking is no part of the answer.
    if (this.#reasoning.isInside) this.#scores = [];
    const inside = this.#parser?.inside ?? 'text';
    if (inside === 'undecided' || this.#reasoning.isHolding) return parts;
    const of = inside === 'call' || this.#calls > calls ? 'call' : 'text';
    if (of === 'text') this.#scoresLeft -= this.#scores.length;
    return [...this.#takeScores(of), ...parts];
  }

  /** Ends the answer; one that loops is cut. @throws EngineError when it violates its schema. */
  end(reason: 'stopped' | 'cut'): AnswerPart[] {
    const why = this.#hasLooped ? 'cut' : reason;
    const calls = this.#calls;
    const isCall = this.#parser?.inside === 'call';
    const parts = this.#stopped ? [] : this.#endParts(why);
    const scores = this.#takeScores(isCall || this.#calls > calls ? 'call' : 'text');
    return [...scores, ...parts, ...this.#releaseText(why === 'stopped' && !this.#stopped)];
  }

  #endParts(why: 'stopped' | 'cut'): AnswerPart[] {
    const held = this.#segments(this.#reasoning.end());
    const parts = this.#stopped ? [] : this.#write(this.#parser?.end(why) ?? []);
    return [...held, ...parts, ...(this.#stopped ? [] : this.#text(this.#stops.end()))];
  }

  #segments(segments: readonly Segment[]): AnswerPart[] {
    return segments.flatMap(({ k, text }): AnswerPart[] => {
      if (k === 'reasoning') return [{ k, text }];
      return this.#write(this.#parser?.push(text) ?? [{ k, text }]);
    });
  }

  #write(parsed: readonly ParsedPart[]): AnswerPart[] {
    const parts: AnswerPart[] = [];
    for (const part of parsed) {
      if (this.#stopped) break;
      if (part.k === 'call') parts.push(...this.#text(this.#stops.end()), ...this.#call(part));
      else if (this.#calls > 0) {
        // Clients expect text before calls alone; and what small models write after one is its result, made up.
        this.#stopped = part.text.trim() !== '';
        this.#scores = [];
      } else {
        const { text, stopped } = this.#stops.push(part.text);
        parts.push(...this.#text(text));
        this.#stopped = stopped;
      }
    }
    return parts;
  }

  #text(text: string): AnswerPart[] {
    if (text === '') return [];
    if (this.#options.checks.isValidText === undefined) return [{ k: 'text', text }];
    this.#heldText += text;
    return [];
  }

  #releaseText(isWhole: boolean): AnswerPart[] {
    const text = this.#heldText;
    const isValid = this.#options.checks.isValidText;
    if (text === '' || isValid === undefined) return [];
    if (isWhole && !isValid(parsedJson(text))) throw violation('answer');
    return [{ k: 'text', text }];
  }

  #call({ call, isComplete }: Extract<ParsedPart, { k: 'call' }>): AnswerPart[] {
    const isValid = this.#options.checks.isValidCall;
    if (isComplete && isValid?.(call.name, parsedJson(call.json)) === false) throw violation('tool call');
    const index = this.#calls;
    this.#calls += 1;
    return [
      { k: 'call', index, id: this.#options.newCallId(), name: call.name },
      { k: 'args', index, json: call.json },
      ...(isComplete ? [{ k: 'call_end' as const, index, ...(call.repaired ? { repaired: true } : {}) }] : []),
    ];
  }

  #takeScores(of: Scores['of']): AnswerPart[] {
    const scores = this.#scores;
    this.#scores = [];
    return scores.length === 0 ? [] : [{ k: 'scores', of, taken: this.#options.taken, scores }];
  }
}

function parsedJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function violation(what: string): EngineError {
  return new EngineError(
    'bad_request',
    `The model's ${what} does not satisfy the JSON schema; ask again, simplify the schema or use a larger model.`,
    true,
  );
}

const idAlphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789';

/** A new id for a tool call, in the shape OpenAI's have; `random` gives bytes. */
export function newCallId(random: (length: number) => Uint8Array): string {
  return `call_${Array.from(random(24), (byte) => idAlphabet[byte % idAlphabet.length]).join('')}`;
}
