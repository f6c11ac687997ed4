import { existsSync, readFileSync } from 'node:fs';
import { gunzipSync } from 'node:zlib';
import type { InferenceEvent } from '@lfo/router/src/core/events.ts';
import { isJsonObject, parseJson, type JsonObject, type JsonValue } from '@lfo/router/src/core/json.ts';
import type { ChatRequest, ToolSpec } from '@lfo/router/src/core/request.ts';

/** One recorded answer of a small model to one function-calling case, and whether it was right. */
export interface TraceCase {
  readonly id: string;
  readonly category: string;
  readonly request: ChatRequest;
  /** The answer as a backend would have streamed it, one event a token. */
  readonly events: readonly InferenceEvent[];
  /** Natural logs, one a token. */
  readonly logprobs: readonly number[];
  readonly promptTokens: number;
  readonly text: string;
  readonly isRight: boolean;
}

/** Reads the traces with their cases and grades each answer. */
export function readTraces(data: URL): readonly TraceCase[] {
  const questions = new Map<string, JsonObject>();
  const truths = new Map<string, JsonObject>();
  for (const category of categories) {
    for (const row of rowsOf(new URL(`bfcl/BFCL_v4_${category}.json`, data))) questions.set(text(row['id']), row);
    const answers = new URL(`bfcl/possible_answer/BFCL_v4_${category}.json`, data);
    if (existsSync(answers)) for (const row of rowsOf(answers)) truths.set(text(row['id']), row);
  }
  const packed = readFileSync(new URL('traces/bfcl-qwen2.5-coder-0.5b.jsonl.gz', data));
  return parseLines(gunzipSync(packed).toString('utf8')).flatMap((trace) => {
    const question = questions.get(text(trace['id']));
    return question === undefined ? [] : [caseOf(trace, question, truths.get(text(trace['id'])))];
  });
}

function caseOf(trace: JsonObject, question: JsonObject, truth: JsonObject | undefined): TraceCase {
  const answer = text(trace['text']);
  const logprobs = list(trace['lp']).filter((value) => typeof value === 'number');
  const pieces = list(trace['pieces']).map(text);
  const calls = readCalls(answer);
  return {
    id: text(trace['id']),
    category: text(trace['cat']),
    request: requestOf(question),
    events: eventsOf(pieces, logprobs, calls),
    logprobs,
    promptTokens: Number(trace['prompt_tokens']),
    text: answer,
    isRight: isRight(calls, truth === undefined ? [] : list(truth['ground_truth'])),
  };
}

interface ReadCall {
  readonly name: string;
  readonly arguments: JsonObject;
}

/** Reads bare JSON, a fence or Hermes tags; a list counts as several calls. */
function readCalls(answer: string): readonly ReadCall[] {
  const bare = answer
    .replaceAll(/<\/?tool_call>/g, '\n')
    .replaceAll(/```(?:json)?/g, '\n')
    .trim();
  const whole = parseJson(bare);
  const values = whole === undefined ? bare.split(/\n(?=\{)/).map((part) => parseJson(part)) : [whole].flat();
  const calls = values.flatMap((value) => {
    if (!isJsonObject(value) || typeof value['name'] !== 'string') return [];
    const args = value['arguments'];
    return isJsonObject(args) ? [{ name: value['name'], arguments: args }] : [];
  });
  return calls.length === values.length ? calls : [];
}

function eventsOf(
  pieces: readonly string[],
  logprobs: readonly number[],
  calls: readonly ReadCall[],
): readonly InferenceEvent[] {
  const about = calls.length > 0 ? 'tool-call' : 'text';
  const events: InferenceEvent[] = [{ type: 'start', model: 'trace' }];
  for (const [index, logprob] of logprobs.entries()) {
    const piece = pieces[index] ?? '';
    events.push({ type: 'token-scores', about, scores: [{ token: piece, logprob }] });
    if (calls.length === 0 && piece !== '') events.push({ type: 'text-delta', text: piece });
  }
  for (const [index, call] of calls.entries()) {
    events.push({ type: 'tool-call-start', index, id: `call${index}`, name: call.name });
    events.push({ type: 'tool-call-delta', index, json: JSON.stringify(call.arguments) });
    events.push({ type: 'tool-call-end', index });
  }
  const usage = { promptTokens: 0, completionTokens: logprobs.length };
  const reason = calls.length > 0 ? 'tool_calls' : logprobs.length >= maxTraceTokens ? 'length' : 'stop';
  events.push({ type: 'finish', reason, usage });
  return events;
}

function requestOf(question: JsonObject): ChatRequest {
  const turns = list(list(question['question'])[0]).filter(isJsonObject);
  const messages = turns.map((turn) => {
    const content = [{ type: 'text' as const, text: text(turn['content']) }];
    return turn['role'] === 'system' ? { role: 'system' as const, content } : { role: 'user' as const, content };
  });
  return {
    id: text(question['id']),
    model: 'lfo-auto',
    messages,
    tools: list(question['function']).filter(isJsonObject).map(toolOf),
    sampling: { stop: [], logprobs: false },
    stream: true,
    hints: { mode: 'auto' },
    bodyBytes: JSON.stringify(question).length,
  };
}

function toolOf(declared: JsonObject): ToolSpec {
  const parameters = standardTypes(declared['parameters'] ?? {});
  return {
    name: text(declared['name']).replaceAll('.', '_'),
    description: text(declared['description']),
    ...(isJsonObject(parameters) && { parameters }),
  };
}

/** The leaderboard writes Python's type names. */
function standardTypes(value: JsonValue): JsonValue {
  if (!isJsonObject(value)) return Array.isArray(value) ? value.map(standardTypes) : value;
  const pairs = Object.entries(value).map(([key, member]) => {
    const renamed = key === 'type' && typeof member === 'string' ? (typeNames.get(member) ?? member) : undefined;
    return [key, renamed ?? standardTypes(member)] as const;
  });
  return Object.fromEntries(pairs);
}

/** Right: the expected calls in any order, each argument among the allowed values; no call where none is expected. */
function isRight(calls: readonly ReadCall[], truth: readonly JsonValue[]): boolean {
  if (calls.length !== truth.length) return false;
  const open = [...calls];
  return truth.filter(isJsonObject).every((expected) => {
    const match = open.findIndex((call) => matches(call, expected));
    if (match >= 0) open.splice(match, 1);
    return match >= 0;
  });
}

function matches(call: ReadCall, expected: JsonObject): boolean {
  const [entry] = Object.entries(expected);
  if (entry === undefined || entry[0].replaceAll('.', '_') !== call.name || !isJsonObject(entry[1])) return false;
  const allowed = entry[1];
  if (Object.keys(call.arguments).some((name) => !Object.hasOwn(allowed, name))) return false;
  return Object.entries(allowed).every(([name, values]) => {
    const given = call.arguments[name];
    if (given === undefined) return list(values).includes('');
    return list(values).some((value) => sameValue(value, given));
  });
}

function sameValue(one: JsonValue, other: JsonValue): boolean {
  if (Array.isArray(one) && Array.isArray(other)) {
    return one.length === other.length && one.every((member, index) => sameValue(member, other[index] ?? null));
  }
  if (isJsonObject(one) && isJsonObject(other)) {
    return Object.entries(one).every(([key, values]) =>
      list(values).some((value) => (value === '' && other[key] === undefined) || sameValue(value, other[key] ?? null)),
    );
  }
  return typeof one === 'string' && typeof other === 'string' ? plain(one) === plain(other) : one === other;
}

function plain(value: string): string {
  return value.toLowerCase().replaceAll(/[ ,./\-_*^'"]/g, '');
}

function rowsOf(file: URL): readonly JsonObject[] {
  return parseLines(readFileSync(file, 'utf8'));
}

function parseLines(content: string): readonly JsonObject[] {
  return content.split('\n').map(parseJson).filter(isJsonObject);
}

function list(value: JsonValue | undefined): readonly JsonValue[] {
  return Array.isArray(value) ? value : [];
}

function text(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : '';
}

export const categories = ['simple_python', 'multiple', 'parallel', 'parallel_multiple', 'irrelevance'] as const;
const typeNames = new Map([
  ['dict', 'object'],
  ['float', 'number'],
  ['tuple', 'array'],
  ['any', 'unknown'],
]);
const maxTraceTokens = 256;
