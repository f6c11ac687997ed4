import { isJsonObject, type JsonObject, type JsonValue } from '../../core/json.ts';
import { textOf, type ChatRequest, type ToolSpec } from '../../core/request.ts';
import { cosine, englishShare, gramsOf, hasOtherScript, monthsIn, numbersIn, plain, stemsOf } from './words.ts';
import type { WordWeights } from './word-weights.ts';

/** A request as the features see it; built once a request and read for each of its answers. */
export interface RequestView {
  readonly question: Question;
  readonly conversation: Conversation;
  readonly tools: ReadonlyMap<string, ToolView>;
  readonly weights: WordWeights;
}

/** The last turn of the user. */
export interface Question {
  readonly text: string;
  /** Each content stem once, with its weight. */
  readonly stems: ReadonlyMap<string, number>;
  readonly sentences: readonly Sentence[];
  readonly grams: ReadonlyMap<string, number>;
  /** Whether its words can be compared with declarations: false where question and declarations differ in language. */
  readonly isComparable: boolean;
}

/** A sentence of the question. */
export interface Sentence {
  readonly text: string;
  /** Content stems, and numbers as `#5`, each once with its weight. */
  readonly words: ReadonlyMap<string, number>;
  /** Those of each clause that has any. */
  readonly clauses: readonly ReadonlySet<string>[];
  /** Numbers, quoted phrases and names, in plain spelling. */
  readonly entities: readonly string[];
}

/** All that was said, whoever said it. */
export interface Conversation {
  /** In plain spelling, between spaces. */
  readonly plain: string;
  readonly stems: ReadonlySet<string>;
  readonly numbers: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly hasOtherScript: boolean;
}

/** A declared tool. */
export interface ToolView {
  readonly spec: ToolSpec;
  readonly properties: JsonObject;
  readonly required: ReadonlySet<string>;
  /** Stems of name and description. */
  readonly stems: ReadonlySet<string>;
  /** Stems of the whole declaration. */
  readonly allStems: ReadonlySet<string>;
  /** Weight of the three heaviest stems shared with the question, as a share of the largest possible; 0..1. */
  readonly heaviest: number;
  /** Of character grams, 0..1. */
  readonly cosine: number;
}

/** Reads a request. Linear in its text, of which the latest 100,000 characters count; the question's first 4,000. */
export function viewRequest(request: ChatRequest, weights: WordWeights): RequestView {
  const said = request.messages.map(textOf).join('\n').slice(-maxConversationChars);
  const asked = request.messages.findLast(({ role }) => role === 'user');
  const words = (asked === undefined ? '' : textOf(asked)).slice(0, maxQuestionChars);
  const question = new ReadQuestion(words, request.tools, weights);
  const tools = new Map(request.tools.map((spec) => [spec.name, viewTool(spec, question, weights)]));
  return { question, conversation: new ReadConversation(said), tools, weights };
}

// Each part is read when it is asked for, and once: the judge of a text needs a fifth of what the judge of a call does.

class ReadConversation implements Conversation {
  readonly #said: string;
  #plain: string | undefined;
  #stems: ReadonlySet<string> | undefined;
  #numbers: ReadonlySet<number> | undefined;
  #months: ReadonlySet<number> | undefined;
  #hasOtherScript: boolean | undefined;

  constructor(said: string) {
    this.#said = said;
  }

  get plain(): string {
    return (this.#plain ??= ` ${plain(this.#said)} `);
  }

  get stems(): ReadonlySet<string> {
    return (this.#stems ??= new Set(stemsOf(this.#said)));
  }

  get numbers(): ReadonlySet<number> {
    return (this.#numbers ??= numbersIn(this.#said));
  }

  get months(): ReadonlySet<number> {
    return (this.#months ??= monthsIn(this.#said));
  }

  get hasOtherScript(): boolean {
    return (this.#hasOtherScript ??= hasOtherScript(this.#said));
  }
}

class ReadQuestion implements Question {
  readonly text: string;
  readonly #tools: readonly ToolSpec[];
  readonly #weights: WordWeights;
  #stems: ReadonlyMap<string, number> | undefined;
  #sentences: readonly Sentence[] | undefined;
  #grams: ReadonlyMap<string, number> | undefined;
  #isComparable: boolean | undefined;

  constructor(text: string, tools: readonly ToolSpec[], weights: WordWeights) {
    this.text = text;
    this.#tools = tools;
    this.#weights = weights;
  }

  get stems(): ReadonlyMap<string, number> {
    return (this.#stems ??= new Map(stemsOf(this.text).map((stem) => [stem, this.#weights.of(stem)])));
  }

  get sentences(): readonly Sentence[] {
    return (this.#sentences ??= this.text
      .split(sentencePattern)
      .map((sentence) => new ReadSentence(sentence, this.#weights)));
  }

  get grams(): ReadonlyMap<string, number> {
    return (this.#grams ??= gramsOf(this.text));
  }

  get isComparable(): boolean {
    return (this.#isComparable ??= isComparable(this.text, this.#tools));
  }
}

class ReadSentence implements Sentence {
  readonly text: string;
  readonly #weights: WordWeights;
  #words: ReadonlyMap<string, number> | undefined;
  #clauses: readonly ReadonlySet<string>[] | undefined;
  #entities: readonly string[] | undefined;

  constructor(text: string, weights: WordWeights) {
    this.text = text;
    this.#weights = weights;
  }

  get words(): ReadonlyMap<string, number> {
    return (this.#words ??= new Map(
      wordsOf(this.text).map((word) => [word, word.startsWith('#') ? numberWeight : this.#weights.of(word)]),
    ));
  }

  get clauses(): readonly ReadonlySet<string>[] {
    return (this.#clauses ??= this.text
      .split(clausePattern)
      .map((clause) => new Set(wordsOf(clause)))
      .filter((clause) => clause.size > 0));
  }

  get entities(): readonly string[] {
    return (this.#entities ??= entitiesIn(this.text));
  }
}

function wordsOf(part: string): readonly string[] {
  return [
    ...stemsOf(part),
    ...Array.from(part.matchAll(figurePattern), ([number]) => `#${Number(number.replaceAll(',', ''))}`),
  ];
}

/** Declarations are English as a rule; where they are not, they and the question are taken to agree. */
function isComparable(question: string, tools: readonly ToolSpec[]): boolean {
  const share = englishShare(question);
  if (share === undefined) return !hasOtherScript(question);
  if (share >= leastEnglishShare) return true;
  const declared = tools.map(({ description }) => description ?? '').join('\n');
  return (englishShare(declared) ?? 1) < leastEnglishShare;
}

function viewTool(spec: ToolSpec, question: Question, weights: WordWeights): ToolView {
  const properties = isJsonObject(spec.parameters?.['properties']) ? spec.parameters['properties'] : {};
  const required = spec.parameters?.['required'];
  const words = `${spec.name} ${spec.description ?? ''}`;
  const stems = new Set(stemsOf(words));
  return {
    spec,
    properties,
    required: new Set(Array.isArray(required) ? required.filter((name) => typeof name === 'string') : []),
    stems,
    allStems: new Set([...stems, ...stemsOf(wordsOfSchema(properties, 0))]),
    heaviest: heaviestShared(question, stems, weights),
    cosine: cosine(question.grams, gramsOf(words)),
  };
}

/** Three words are enough to name a task; longer descriptions do not dilute it. */
function heaviestShared(question: Question, stems: ReadonlySet<string>, weights: WordWeights): number {
  const shared: number[] = [];
  for (const [stem, weight] of question.stems) if (stems.has(stem)) shared.push(weight);
  const top = shared.toSorted((a, b) => b - a).slice(0, 3);
  return top.reduce((sum, weight) => sum + weight, 0) / (3 * weights.most);
}

/** Names and descriptions of a declaration's arguments, enum values included. */
function wordsOfSchema(value: JsonValue, depth: number): string {
  if (typeof value === 'string') return value;
  if (typeof value !== 'object' || value === null || depth > maxSchemaDepth) return '';
  if (!isJsonObject(value))
    return value
      .slice(0, maxChoices)
      .map((part) => wordsOfSchema(part, depth + 1))
      .join(' ');
  return Object.entries(value)
    .map(([key, part]) =>
      key === 'type' ? '' : `${schemaWords.has(key) ? '' : key} ${wordsOfSchema(part, depth + 1)}`,
    )
    .join(' ');
}

function entitiesIn(text: string): readonly string[] {
  const found = new Set<string>();
  for (const match of text.matchAll(/(?<![\p{L}\d.])\d[\d,]*(?:\.\d+)?/gu)) found.add(match[0].replaceAll(',', ''));
  for (const match of text.matchAll(/["“«「]([^"”»」\n]{2,60})["”»」]/g)) found.add(plain(match[1] ?? ''));
  for (const match of text.matchAll(/(?<![.?!:]\s|^)(?<=[\s(])\p{Lu}[\p{L}\d]+(?:[ -]\p{Lu}[\p{L}\d]+)*/gu))
    if (stemsOf(match[0]).length > 0) found.add(plain(match[0]));
  return [...found];
}

const sentencePattern = /(?<=[.?!:])\s+|\n+|(?<=[。？！])/;
const clausePattern = /[,;.?!]\s|\b(?:and|then|also)\b|[，。；？！、]/i;
const figurePattern = /(?<![\p{L}\d.])\d[\d,]*(?:\.\d+)?/gu;
/** A number says about as much as a rather rare word. */
const numberWeight = 6;
const schemaWords = new Set(['description', 'enum', 'items', 'properties', 'default', 'required', 'format']);
/** English has about .4 (questions of the fitted cases: .25 and more), others below .1. */
const leastEnglishShare = 0.15;
const maxConversationChars = 100_000;
const maxQuestionChars = 4_000;
const maxSchemaDepth = 6;
const maxChoices = 50;
