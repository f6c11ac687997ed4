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
  const question = viewQuestion(
    (asked === undefined ? '' : textOf(asked)).slice(0, maxQuestionChars),
    request,
    weights,
  );
  const tools = new Map(request.tools.map((spec) => [spec.name, viewTool(spec, question, weights)]));
  return { question, conversation: viewConversation(said), tools, weights };
}

/** Read when it is asked for, and once: the judge of a text needs a fifth of what the judge of a call does. */
function once<T>(read: () => T): () => T {
  let known: { readonly value: T } | undefined;
  return () => (known ??= { value: read() }).value;
}

function viewConversation(said: string): Conversation {
  const spaced = once(() => ` ${plain(said)} `);
  const stems = once(() => new Set(stemsOf(said)));
  const numbers = once(() => numbersIn(said));
  const months = once(() => monthsIn(said));
  const otherScript = once(() => hasOtherScript(said));
  return {
    get plain() {
      return spaced();
    },
    get stems() {
      return stems();
    },
    get numbers() {
      return numbers();
    },
    get months() {
      return months();
    },
    get hasOtherScript() {
      return otherScript();
    },
  };
}

function viewQuestion(text: string, request: ChatRequest, weights: WordWeights): Question {
  const stems = once(() => new Map(stemsOf(text).map((stem) => [stem, weights.of(stem)])));
  const sentences = once(() => text.split(sentencePattern).map((sentence) => viewSentence(sentence, weights)));
  const grams = once(() => gramsOf(text));
  const comparable = once(() => isComparable(text, request.tools));
  return {
    text,
    get stems() {
      return stems();
    },
    get sentences() {
      return sentences();
    },
    get grams() {
      return grams();
    },
    get isComparable() {
      return comparable();
    },
  };
}

function viewSentence(sentence: string, weights: WordWeights): Sentence {
  const wordsOf = (part: string): readonly string[] => [
    ...stemsOf(part),
    ...Array.from(part.matchAll(figurePattern), ([number]) => `#${Number(number.replaceAll(',', ''))}`),
  ];
  const words = once(
    () => new Map(wordsOf(sentence).map((word) => [word, word.startsWith('#') ? numberWeight : weights.of(word)])),
  );
  const clauses = once(() =>
    sentence
      .split(clausePattern)
      .map((clause) => new Set(wordsOf(clause)))
      .filter((clause) => clause.size > 0),
  );
  const entities = once(() => entitiesIn(sentence));
  return {
    text: sentence,
    get words() {
      return words();
    },
    get clauses() {
      return clauses();
    },
    get entities() {
      return entities();
    },
  };
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
