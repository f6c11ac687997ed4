import assert from 'node:assert/strict';
import type { GenerateContentResponse, Part } from '@google/genai';
import type { JsonObject } from '../../src/core/json.ts';
import { parsed, resultText, type Turn, type Understood, type UnderstoodError, untilError, type Wire } from './talk.ts';

/** As it goes over the wire: the SDK's class without its getters. */
type Body = Pick<GenerateContentResponse, 'candidates' | 'usageMetadata' | 'modelVersion' | 'responseId'>;

export const gemini: Wire = {
  name: 'gemini',
  path: (model, isStream) =>
    `/v1beta/models/${model}:${isStream ? 'streamGenerateContent?alt=sse' : 'generateContent'}`,
  body: (talk) => ({
    ...(talk.system !== undefined && { systemInstruction: { parts: [{ text: talk.system }] } }),
    contents: talk.turns.map(content),
    ...((talk.tools ?? []).length > 0 && {
      tools: [
        {
          functionDeclarations: (talk.tools ?? []).map(({ name, description, schema }) => ({
            name,
            description,
            parametersJsonSchema: schema,
          })),
        },
      ],
    }),
    generationConfig: {
      ...(talk.maxTokens !== undefined && { maxOutputTokens: talk.maxTokens }),
      ...(talk.temperature !== undefined && { temperature: talk.temperature }),
      ...(talk.schema !== undefined && { responseMimeType: 'application/json', responseJsonSchema: talk.schema }),
      ...(talk.thinks === true && { thinkingConfig: { includeThoughts: true } }),
    },
  }),
  whole: (body) => understood([parsed(body)]),
  stream(text) {
    const frames = text
      .split(/\r?\n\r?\n/)
      .filter((frame) => frame !== '' && !frame.startsWith(':'))
      .map((frame) => {
        assert.ok(frame.startsWith('data: '), `not a data frame: ${frame}`);
        return frame.slice('data: '.length);
      });
    return read(frames);
  },
  error(body): UnderstoodError {
    const {
      error,
    }: {
      error: { code: number; message: string; status: string; details: { '@type': string; reason?: string }[] };
    } = parsed(body);
    assert.match(error.status, /^[A-Z_]+$/);
    assert.equal(typeof error.code, 'number');
    const info = error.details.find((detail) => detail['@type'].endsWith('google.rpc.ErrorInfo'));
    return { code: String(info?.reason).toLowerCase(), message: error.message };
  },
};

/** The same without `alt=sse`: a stream is one JSON array. */
export const geminiArray: Wire = {
  ...gemini,
  name: 'gemini, a stream as an array',
  path: (model, isStream) => `/v1beta/models/${model}:${isStream ? 'streamGenerateContent' : 'generateContent'}`,
  stream: (text) => read(parsed(text)),
};

function read(parts: readonly unknown[]): Understood {
  const { bodies, isCut } = untilError(parts, gemini);
  return understood(bodies, isCut);
}

function content(turn: Turn): JsonObject {
  if ('user' in turn) {
    const image = { inlineData: { mimeType: 'image/png', data: turn.image ?? '' } };
    return { role: 'user', parts: [{ text: turn.user }, ...(turn.image === undefined ? [] : [image])] };
  }
  if ('result' in turn) {
    const { id, name } = turn.of;
    const response = { output: resultText(turn) };
    return { role: 'user', parts: [{ functionResponse: { id, name, response } }] };
  }
  return {
    role: 'model',
    parts: [
      ...(turn.thought === undefined ? [] : [{ text: turn.thought, thought: true }]),
      ...(turn.assistant === '' ? [] : [{ text: turn.assistant }]),
      ...(turn.calls ?? []).map(({ id, name, input }) => ({ functionCall: { id, name, args: input } })),
    ],
  };
}

/** Chunks in order, or the one whole answer. The reason of the end comes once, in the last; an answer says something. */
function understood(bodies: readonly Body[], isCut = false): Understood {
  const parts: Part[] = [];
  let reason: string | undefined;
  for (const [i, { candidates, responseId, modelVersion }] of bodies.entries()) {
    const [candidate, other] = candidates ?? [];
    assert.ok(candidate !== undefined && other === undefined, 'one candidate');
    assert.deepEqual([candidate.index, candidate.content?.role], [0, 'model']);
    assert.ok(responseId === bodies[0]?.responseId && modelVersion !== undefined);
    assert.equal(candidate.finishReason !== undefined, i === bodies.length - 1 && !isCut, 'the last chunk says why');
    reason = candidate.finishReason;
    parts.push(...(candidate.content?.parts ?? []));
  }
  assert.ok(isCut || parts.length > 0, 'an answer without parts is an error to its clients');
  const usage = bodies.at(-1)?.usageMetadata;
  if (!isCut) assert.ok(usage !== undefined, 'the usage is in the last chunk');
  const calls = parts.flatMap(({ functionCall }) =>
    functionCall === undefined ? [] : [{ name: functionCall.name ?? '', input: functionCall.args }],
  );
  const text = (isThought: boolean): string =>
    parts.flatMap(({ text, thought }) => ((thought === true) === isThought ? (text ?? '') : '')).join('');
  return {
    text: text(false),
    thought: text(true),
    calls,
    stop: isCut ? 'failed' : stopOf(reason, calls.length > 0),
    inputTokens: usage?.promptTokenCount ?? -1,
    outputTokens: (usage?.candidatesTokenCount ?? -1) + (usage?.thoughtsTokenCount ?? 0),
  };
}

function stopOf(reason: string | undefined, hasCalls: boolean): Understood['stop'] {
  if (reason === 'MAX_TOKENS') return 'length';
  if (reason === 'SAFETY') return 'refusal';
  assert.equal(reason, 'STOP');
  return hasCalls ? 'calls' : 'end';
}
