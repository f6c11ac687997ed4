import { declarationsOf } from './check-request.ts';
import { isObject } from './check-fields.ts';
import type { FakeModel } from './fake-models.ts';
import { signatureFor } from './fake-signatures.ts';
import { sampleInstance } from './sample-instance.ts';

type Json = Readonly<Record<string, unknown>>;

/** What the model says: the parts of its turn and how it ended. */
export interface FakeTurn {
  readonly parts: readonly Json[];
  readonly finishReason?: string;
  readonly usage?: Json;
}

/**
 * What a helpful model would do: ask a weather tool for every city the user names, call what it is forced to call,
 * sum up the results of calls, write JSON where it is wanted, and else echo the user.
 */
export function helpfulTurn(body: Json, model: FakeModel): FakeTurn {
  const contents = (Array.isArray(body['contents']) ? body['contents'] : []).filter(isObject);
  const results = partsOf(contents.at(-1))
    .map((part) => part['functionResponse'])
    .filter(isObject);
  if (results.length > 0)
    return { parts: [{ text: `The tools say: ${JSON.stringify(results.map(({ response }) => response))}` }] };
  const said = textOf(contents.findLast(({ role }) => role === 'user'));
  const calls = callsFor(body, said);
  if (calls.length > 0) return { parts: calls.map((call, index) => signed(call, index, model)) };
  const config = isObject(body['generationConfig']) ? body['generationConfig'] : {};
  if (config['responseMimeType'] === 'application/json') {
    return {
      parts: [
        {
          text: JSON.stringify(
            sampleInstance(config['responseJsonSchema'] ?? config['responseSchema'] ?? { type: 'object' }),
          ),
        },
      ],
    };
  }
  const thoughts = isObject(config['thinkingConfig']) && config['thinkingConfig']['includeThoughts'] === true;
  return {
    parts: [
      ...(thoughts ? [{ text: 'The user speaks.', thought: true }] : []),
      { text: `Hello from Gemini. You said: ${said}` },
    ],
  };
}

interface Call {
  readonly name: string;
  readonly args: unknown;
}

function callsFor(body: Json, said: string): Call[] {
  const declarations = declarationsOf(body['tools']);
  const tools = isObject(body['toolConfig']) ? body['toolConfig']['functionCallingConfig'] : undefined;
  const config = isObject(tools) ? tools : {};
  if (declarations.length === 0 || config['mode'] === 'NONE') return [];
  const cities = [...said.matchAll(/\b(?:in|and|of) ([A-Z][a-z]+)/g)].map(([, city]) => city ?? '');
  const weather = declarations.find(({ name }) => /weather/i.test(String(name)));
  if (weather !== undefined && /weather/i.test(said)) {
    return (cities.length === 0 ? ['Paris'] : cities).map((city) => callOf(weather, [city]));
  }
  if (config['mode'] !== 'ANY') return [];
  const allowed: unknown = config['allowedFunctionNames'];
  const forced = declarations.find(({ name }) => !Array.isArray(allowed) || allowed.includes(name));
  return forced === undefined ? [] : [callOf(forced, ['sample'])];
}

function callOf(declaration: Json, words: readonly string[]): Call {
  const schema = declaration['parametersJsonSchema'] ?? declaration['parameters'];
  return { name: String(declaration['name']), args: schema === undefined ? {} : sampleInstance(schema, words) };
}

/** Of parallel calls only the first is signed. */
function signed(call: Call, index: number, model: FakeModel): Json {
  const part = { functionCall: { name: call.name, args: call.args } };
  return model.generation < 2.5 || index > 0 ? part : { ...part, thoughtSignature: signatureFor(call.name, call.args) };
}

function partsOf(content: Json | undefined): Json[] {
  return (Array.isArray(content?.['parts']) ? content['parts'] : []).filter(isObject);
}

function textOf(content: Json | undefined): string {
  return partsOf(content)
    .map(({ text }) => text)
    .filter((text) => typeof text === 'string')
    .join(' ');
}

/** A whole answer with counts. */
export function unaryAnswer(turn: FakeTurn, model: FakeModel): Json {
  return {
    candidates: [
      { content: { role: 'model', parts: turn.parts }, finishReason: turn.finishReason ?? 'STOP', index: 0 },
    ],
    usageMetadata: turn.usage ?? usageOf(turn, turn.parts.length),
    modelVersion: model.name,
    responseId: 'fake',
  };
}

/** The same answer in chunks: text in two pieces, one call a chunk, counts that grow, an empty last chunk. */
export function streamedAnswer(turn: FakeTurn, model: FakeModel): Json[] {
  const pieces = turn.parts.flatMap((part) =>
    typeof part['text'] === 'string' && part['thought'] !== true ? halves(part) : [part],
  );
  const chunks = pieces.map((part, index) => ({
    candidates: [{ content: { role: 'model', parts: [part] }, index: 0 }],
    usageMetadata: usageOf(turn, Math.min(index, turn.parts.length)),
    modelVersion: model.name,
    responseId: 'fake',
  }));
  const end = {
    candidates: [
      { content: { role: 'model', parts: [{ text: '' }] }, finishReason: turn.finishReason ?? 'STOP', index: 0 },
    ],
    usageMetadata: turn.usage ?? usageOf(turn, turn.parts.length),
    modelVersion: model.name,
    responseId: 'fake',
  };
  return [...chunks, end];
}

function halves(part: Json): Json[] {
  const text = String(part['text']);
  const middle = Math.ceil(text.length / 2);
  const pieces = [text.slice(0, middle), text.slice(middle)].filter((piece) => piece !== '');
  return pieces.map((piece) => ({ text: piece }));
}

function usageOf(turn: FakeTurn, parts: number): Json {
  const hasThoughts = turn.parts.some(({ thought }) => thought === true);
  return {
    promptTokenCount: 11,
    candidatesTokenCount: 5 * parts,
    totalTokenCount: 11 + 5 * parts,
    ...(hasThoughts ? { thoughtsTokenCount: 7 } : {}),
  };
}
