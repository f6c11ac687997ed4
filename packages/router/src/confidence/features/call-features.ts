import { isJsonObject, type JsonObject, type JsonValue } from '../../core/json.ts';
import type { Features, ReadCall } from './features.ts';
import type { AnswerNats, CallNats } from './nats.ts';
import type { RequestView, ToolView } from './request-view.ts';
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
  return {
    ...(nats !== undefined && {
      call_nats: Math.log1p(nats.total),
      value_nats: Math.log1p(nats.values),
      nats_an_argument: Math.log1p(nats.values / Math.max(given.length, 1)),
      worst_value_token: nats.worstValueToken,
      worst_after_value: nats.worstAfterValue,
      uncertain_tokens: Math.log1p(nats.uncertain),
      worst_unsupported: Math.log1p(Math.max(0, ...unsupported.map((argument) => argument.nats))),
    }),
    unsupported: share(given, ({ support }) => support === 0),
    least_support: Math.min(3, ...given.map(({ support }) => support)) / 3,
    words_said: share(words, (word) => question.stems.has(word)),
    optional_unsupported: given.some(({ isRequired, support }) => !isRequired && support < 3) ? 1 : 0,
    off_form: given.some(isOffForm) ? 1 : 0,
    named_not_given: Number(namesAnOmission(question.stems, call)),
  };
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

/** What of the question no call takes up. */
function restFeatures(view: RequestView, calls: readonly JudgedCall[], nats: AnswerNats | undefined): Features {
  const { question, tools, weights } = view;
  const written = calls.map(({ text }) => text).join(' ');
  const taken = new Set(stemsOf(written));
  const called = new Set(calls.flatMap(({ tool }) => tool ?? []));
  for (const tool of called) for (const word of tool.allStems) taken.add(word);
  const others = [...tools.values()].filter((tool) => !called.has(tool));
  const open = [...question.stems].filter(([word]) => !taken.has(word));
  const weigh = (words: readonly (readonly [string, number])[]): number =>
    words.reduce((sum, [, weight]) => sum + weight, 0);
  const openWeight = weigh(open);
  const elsewhere = weigh(open.filter(([word]) => others.some((tool) => tool.stems.has(word))));
  return {
    ...(nats !== undefined && { stop_nats: Math.log1p(nats.stop) }),
    entities_left: share(question.entities, (entity) => !takes(entity, written)),
    ...(question.isComparable && {
      unexplained: question.stems.size === 0 ? 0 : openWeight / weigh([...question.stems]),
      unexplained_words: share([...question.stems], ([word]) => !taken.has(word)),
      worst_clause: Math.max(
        0,
        ...question.clauses.map((clause) => {
          const words = [...clause].map((word) => [word, weights.of(word)] as const);
          return weigh(words.filter(([word]) => !taken.has(word))) / weigh(words);
        }),
      ),
      for_other_tools: openWeight === 0 ? 0 : elsewhere / openWeight,
    }),
  };
}

/** An entity is taken up where a value has it, numbers by value. */
function takes(entity: string, written: string): boolean {
  const number = Number(entity);
  if (Number.isNaN(number)) return plain(written).includes(entity);
  const numbers = numbersIn(written);
  return numbers.has(number) || numbers.has(number / 100);
}

/** An option of the tool that the question names and the call leaves out, or another choice of an enum than the one named. */
function namesAnOmission(said: ReadonlyMap<string, number>, call: JudgedCall): boolean {
  if (call.tool === undefined) return false;
  const given = new Map(call.arguments.map(({ name, value }) => [name, value]));
  return Object.entries(call.tool.properties).some(([name, schema]) => {
    if (!isJsonObject(schema) || !Array.isArray(schema['enum'])) return false;
    const named = schema['enum'].filter((choice) => {
      const words = typeof choice === 'string' ? stemsOf(choice) : [];
      return words.length > 0 && words.every((word) => said.has(word));
    });
    return named.length > 0 && !named.some((choice) => choice === given.get(name));
  });
}

/** The description shows a form, such as "City, State" or a date, that the value lacks. */
function isOffForm({ value, schema }: Argument): boolean {
  const description = schema['description'];
  if (typeof value !== 'string' || typeof description !== 'string') return false;
  const example = /(?:e\.g\.?|for example|such as|like|format|i\.e\.?)[\s,:]*['"(]?([^'")]{2,40})/i.exec(
    description,
  )?.[1];
  if (example === undefined) return false;
  if (/\p{L}+, ?\p{Lu}{2}\b|city, ?(?:state|country)/iu.test(example)) return !value.includes(',');
  if (/\d{4}-\d{2}-\d{2}|yyyy-mm-dd/i.test(example)) return !/^\d{4}-\d{2}-\d{2}/.test(value);
  return false;
}

function textOfValue(value: JsonValue): string {
  return typeof value === 'string' ? value : JSON.stringify(value).replaceAll(/["{}[\],:]/g, ' ');
}

/** Share 0..1; 0 of nothing. */
function share<T>(items: readonly T[], holds: (item: T) => boolean): number {
  return items.length === 0 ? 0 : items.filter(holds).length / items.length;
}

const noNats: CallNats = {
  total: 0,
  values: 0,
  worstValueToken: 0,
  worstAfterValue: 0,
  uncertain: 0,
  byArgument: new Map(),
};
