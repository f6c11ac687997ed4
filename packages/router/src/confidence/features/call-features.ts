import { isJsonObject, type JsonObject, type JsonValue } from '../../core/json.ts';
import type { Features, ReadCall } from './features.ts';
import type { AnswerNats, CallNats } from './nats.ts';
import type { RequestView, Sentence, ToolView } from './request-view.ts';
import { isCutName, isOffForm, isWholePercent, namesOtherChoice } from './form.ts';
import { supportOf, type Support } from './support.ts';
import { numbersIn, plain, stemsOf } from './words.ts';

/** What features say of an answer that calls tools. */
export interface CallFeatures {
  /** For each call: are its values right? */
  readonly values: readonly Features[];
  /** For the whole answer: does no tool fit? Are more calls needed? */
  readonly answer: Features;
}

/**
 * Features of valid calls. `nats` is undefined where the engine gives no scores: the features of probability are absent
 * then. Those that compare words are absent where question and declarations differ in language.
 */
export function callFeatures(
  view: RequestView,
  calls: readonly ReadCall[],
  nats: AnswerNats | undefined,
): CallFeatures {
  const read = calls.map((call, index) => readArguments(view, call, nats && natsOfCall(nats, index)));
  const values = read.map((call) => valueFeatures(view, call));
  return { values, answer: { ...fitFeatures(view, read, nats), ...restFeatures(view, read, nats) } };
}

interface Argument {
  readonly name: string;
  readonly value: JsonValue;
  readonly schema: JsonObject;
  readonly support: Support;
  readonly isRequired: boolean;
  readonly nats: number;
}

interface JudgedCall {
  readonly tool: ToolView | undefined;
  readonly arguments: readonly Argument[];
  readonly nats: CallNats | undefined;
  /** Text of all values. */
  readonly text: string;
}

/** Where the labeller found fewer calls than were read, the rest have no surprise of their own. */
function natsOfCall(nats: AnswerNats, index: number): CallNats {
  return nats.calls[index] ?? nats.calls.at(-1) ?? noNats;
}

function readArguments(view: RequestView, call: ReadCall, nats: CallNats | undefined): JudgedCall {
  const tool = view.tools.get(call.name);
  const given = Object.entries(call.arguments).map(([name, value]): Argument => {
    const schema = tool?.properties[name];
    return {
      name,
      value,
      schema: isJsonObject(schema) ? schema : {},
      support: supportOf(name, value, schema, view.conversation),
      isRequired: tool?.required.has(name) ?? false,
      nats: nats?.byArgument.get(name) ?? 0,
    };
  });
  return { tool, arguments: given, nats, text: Object.values(call.arguments).map(textOfValue).join(' ') };
}

function valueFeatures({ question }: RequestView, call: JudgedCall): Features {
  const { arguments: given, nats } = call;
  const words = stemsOf(call.text);
  const unsupported = given.filter(({ support }) => support < 2);
  const written = plain(call.text);
  const signs = {
    off_form: given.some(({ name, value, schema }) => isOffForm(name, value, schema)),
    whole_percent: given.some(({ value, schema }) => isWholePercent(value, schema, question.text)),
    cut_name: given.some(({ value }) => isCutName(value, question.text, written)),
    named_not_given: namesAnOmission(question.stems, call),
    number_reused: reusesNumber(given, question.text),
  };
  return {
    ...(nats !== undefined && {
      call_nats: Math.log1p(nats.total),
      value_nats: Math.log1p(nats.values),
      nats_an_argument: Math.log1p(nats.values / Math.max(given.length, 1)),
      worst_value_token: nats.worstValueToken,
      worst_after_value: Math.log1p(nats.worstAfterValue),
      uncertain_tokens: Math.log1p(nats.uncertain),
      worst_unsupported: Math.log1p(Math.max(0, ...unsupported.map((argument) => argument.nats))),
    }),
    unsupported: share(given, ({ support }) => support === 0),
    least_support: Math.min(3, ...given.map(({ support }) => support)) / 3,
    words_said: share(words, (word) => question.stems.has(word)),
    optional_unsaid: Number(given.some(({ isRequired, support }) => !isRequired && support < 3)),
    off_form: Number(signs.off_form),
    whole_percent: Number(signs.whole_percent),
    cut_name: Number(signs.cut_name),
    named_not_given: Number(signs.named_not_given),
    number_reused: Number(signs.number_reused),
    misread: Number(signs.whole_percent || signs.cut_name || signs.named_not_given || signs.number_reused),
  };
}

function namesAnOmission(said: ReadonlyMap<string, number>, call: JudgedCall): boolean {
  const given = new Map(call.arguments.map(({ name, value }) => [name, value]));
  return Object.entries(call.tool?.properties ?? {}).some(
    ([name, schema]) => isJsonObject(schema) && namesOtherChoice(said, given.get(name), schema),
  );
}

/** One number of the question in two arguments. */
function reusesNumber(given: readonly Argument[], question: string): boolean {
  const numbers = given.flatMap(({ value }) => (typeof value === 'number' ? [value] : []));
  return numbers.some((number, index) => {
    if (numbers.indexOf(number) === index) return false;
    const pattern = new RegExp(`(?<![\\d.])${String(Math.abs(number)).replace('.', '\\.')}(?![\\d])`, 'g');
    return (question.match(pattern) ?? []).length === 1;
  });
}

/** Does any of the tools called do what is asked? */
function fitFeatures({ question }: RequestView, calls: readonly JudgedCall[], nats: AnswerNats | undefined): Features {
  const given = calls.flatMap((call) => call.arguments);
  const required = given.filter(({ isRequired }) => isRequired);
  const tools = calls.flatMap(({ tool }) => tool ?? []);
  return {
    ...(nats !== undefined && {
      decision_nats: Math.log1p(nats.decision),
      all_nats: Math.log1p(nats.calls.reduce((sum, call) => sum + call.total, 0) / calls.length),
      worst_value: Math.max(0, ...nats.calls.map((call) => call.worstValueToken)),
    }),
    said: share(given, ({ support }) => support === 3),
    required_said: share(required, ({ support }) => support === 3),
    any_unsupported: Number(required.some(({ support }) => support === 0)),
    ...(question.isComparable && {
      heaviest_shared: Math.max(0, ...tools.map(({ heaviest }) => heaviest)),
      grams_shared: Math.max(0, ...tools.map((tool) => tool.cosine)),
      tool_words_said: Math.max(0, ...tools.map((tool) => share([...tool.stems], (word) => question.stems.has(word)))),
    }),
  };
}

/** What of the question no call takes up. Sentences that touch neither a tool nor an argument are talk and left out. */
function restFeatures(view: RequestView, calls: readonly JudgedCall[], nats: AnswerNats | undefined): Features {
  const { question, tools } = view;
  const written = calls.map(({ text }) => text).join(' ');
  const said = new Set(stemsOf(written));
  const sentences = relevantSentences(view, said);
  const entities = sentences.flatMap((sentence) => sentence.entities);
  const features: Features = {
    ...(nats !== undefined && { stop_nats: Math.log1p(nats.stop) }),
    entities_left: share(entities, (entity) => !takes(entity, written)),
    listed_left: Number(leavesListed(question.text, calls, written)),
    asks_twice: Number(sentences.some(({ text }) => secondTask.test(text))),
  };
  if (!question.isComparable) return features;
  const called = new Set(calls.flatMap(({ tool }) => tool ?? []));
  const others = [...tools.values()].filter((tool) => !called.has(tool));
  const taken = new Set([...said, ...Array.from(numbersIn(written), (number) => `#${number}`)]);
  for (const tool of called) for (const word of tool.allStems) taken.add(word);
  const words = new Map(sentences.flatMap((sentence) => [...sentence.words]));
  const open = [...words].filter(([word]) => !taken.has(word));
  const most = 3 * view.weights.most;
  return {
    ...features,
    unexplained: weigh(words) === 0 ? 0 : weigh(open) / weigh(words),
    worst_clause: Math.max(
      0,
      ...sentences.flatMap((sentence) =>
        sentence.clauses.map((clause) => {
          const weights = [...clause].map((word) => [word, sentence.words.get(word) ?? 0] as const);
          return weigh(weights.filter(([word]) => !taken.has(word))) / weigh(weights);
        }),
      ),
    ),
    for_other_tools: Math.max(
      0,
      ...others.map((tool) => heaviestThree(open.filter(([word]) => tool.stems.has(word))) / most),
    ),
  };
}

/** Sentences that touch a tool or an argument, and later ones that add a task, declared or not. */
function relevantSentences({ question, tools }: RequestView, said: ReadonlySet<string>): readonly Sentence[] {
  const touches = (word: string, weight: number): boolean =>
    said.has(word) || (weight >= tellingWeight && [...tools.values()].some((tool) => tool.stems.has(word)));
  let hasTask = false;
  const relevant = question.sentences.filter(({ words, text }) => {
    const isTask = [...words].some(([word, weight]) => touches(word, weight)) || (hasTask && secondTask.test(text));
    hasTask ||= isTask;
    return isTask;
  });
  return relevant.length === 0 ? question.sentences : relevant;
}

/** A value of the call stands in a list ("Rome, Oslo and Bern") whose next member no call takes up. */
function leavesListed(question: string, calls: readonly JudgedCall[], written: string): boolean {
  const lower = question.toLowerCase();
  return calls.some((call) =>
    call.arguments.some(({ value }) => {
      if (typeof value !== 'string' && typeof value !== 'number') return false;
      const text = String(value).toLowerCase();
      const at = text.length < 2 && typeof value === 'string' ? -1 : lower.indexOf(text);
      if (at < 0) return false;
      const rest = question.slice(at + text.length, at + text.length + maxListGap);
      const isName = question.charAt(at) !== lower.charAt(at) || typeof value === 'number';
      const next = (listedNext.exec(rest) ?? (isName ? null : listedWord.exec(rest)))?.[1];
      return next !== undefined && !takes(plain(next), written);
    }),
  );
}

function weigh(words: Iterable<readonly [string, number]>): number {
  let sum = 0;
  for (const [, weight] of words) sum += weight;
  return sum;
}

function heaviestThree(words: readonly (readonly [string, number])[]): number {
  return weigh(words.toSorted(([, a], [, b]) => b - a).slice(0, 3));
}

/** An entity is taken up where a value has it, numbers by value. */
function takes(entity: string, written: string): boolean {
  const number = Number(entity);
  if (Number.isNaN(number)) return plain(written).includes(entity);
  const numbers = numbersIn(written);
  return numbers.has(number) || numbers.has(number / 100);
}

function textOfValue(value: JsonValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value).replaceAll(/["{}[\],:]/g, ' ');
}

/** Share 0..1; 0 of nothing. */
function share<T>(items: readonly T[], holds: (item: T) => boolean): number {
  return items.length === 0 ? 0 : items.filter(holds).length / items.length;
}

/** Words that join two tasks rather than two words, in some languages. */
const secondTask =
  /\b(?:also|then|both|respectively|each|as well as|after that|additionally|finally|furthermore|außerdem|dann|jeweils|también|luego|cada|ensuite|aussi|chaque)\b|另外|然后|分别|还有/iu;
/** Names and numbers after a comma or a word for "and" in some languages. */
const listedNext =
  /^["'”’]?[^\S\n]*\p{L}{0,12}[^\S\n]*(?:,|，|、|&|;|\/|\b(?:and|or|und|oder|y|e|et|ou|plus)\b|和|と|及)[^\S\n]*(?:(?:and|also|then|the|for|in|of|at|to|und|y|et)[^\S\n]+){0,3}["'“‘]?(\p{Lu}[\p{L}\d]+|\d[\d,]*(?:\.\d+)?|[\p{sc=Han}]{2,4})/u;
/** A plain word after a comma or "and", itself at the end of a list or followed by more of it. */
const listedWord = /^["'”’]?(?:,| and| or| &|, and)\s+(\p{Ll}[\p{L}-]{2,20})(?=,|\s+(?:and|or|&)\s|[.?!]|$)/u;
const maxListGap = 60;
/** Words that many tools and questions share do not make a sentence part of the task. */
const tellingWeight = 4.5;
const noNats: CallNats = {
  total: 0,
  values: 0,
  worstValueToken: 0,
  worstAfterValue: 0,
  uncertain: 0,
  byArgument: new Map(),
};
