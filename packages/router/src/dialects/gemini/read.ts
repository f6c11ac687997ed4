import * as z from 'zod';
import { RequestError } from '../../core/errors.ts';
import { isJsonObject, type JsonObject, type JsonValue } from '../../core/json.ts';
import type { ChatRequest, ContentPart, ResponseFormat, Sampling, ToolCall, ToolChoice } from '../../core/request.ts';
import { Conversation, textPart } from '../conversation.ts';
import { type Effort, effortOfBudget } from '../effort.ts';
import { isGiven } from '../given.ts';
import { readImageUrl } from '../images.ts';
import { requestErrorOf } from '../issues.ts';
import { jsonObject, maxParts } from '../json-fields.ts';
import { addressOf, type ReaderDeps, type Received, warnOfLoops } from '../reading.ts';
import { assertTameSchema, type PatternBudget, patternCharsPerRequest } from '../schema-patterns.ts';
import { FlatTools } from '../tools.ts';
import type { ReadRequest } from '../wire.ts';
import { GenerateFormat } from './generate-format.ts';
import { camelCased, plainSchema } from './spelling.ts';

type Warnings = Map<string, string>;

const blob = z.object({ mimeType: z.string(), data: z.string().min(1) });

const part = z.object({
  text: z.string().nullish(),
  thought: z.boolean().nullish(),
  thoughtSignature: z.string().nullish(),
  inlineData: blob.nullish(),
  fileData: jsonObject.nullish(),
  functionCall: z.object({ id: z.string().nullish(), name: z.string().min(1), args: jsonObject.nullish() }).nullish(),
  functionResponse: z
    .object({
      id: z.string().nullish(),
      name: z.string().min(1),
      response: jsonObject.nullish(),
      parts: z
        .array(z.object({ inlineData: blob.nullish(), fileData: jsonObject.nullish() }))
        .max(maxParts)
        .nullish(),
    })
    .nullish(),
});

const content = z.object({ role: z.string().nullish(), parts: z.array(part).max(maxParts).nullish() });

const declaration = z.object({
  name: z.string().min(1),
  description: z.string().nullish(),
  parameters: jsonObject.nullish(),
  parametersJsonSchema: jsonObject.nullish(),
});

const level = z.string().toLowerCase();

const generation = z.object({
  temperature: z.number().min(0).max(2).nullish(),
  topP: z.number().min(0).max(1).nullish(),
  topK: z.number().min(0).nullish(),
  maxOutputTokens: z.number().int().min(1).nullish(),
  candidateCount: z.literal(1, 'only one candidate is given').nullish(),
  stopSequences: z.array(z.string()).max(5).nullish(),
  seed: z.number().int().nullish(),
  presencePenalty: z.number().min(-2).max(2).nullish(),
  frequencyPenalty: z.number().min(-2).max(2).nullish(),
  responseMimeType: z.string().nullish(),
  responseSchema: jsonObject.nullish(),
  responseJsonSchema: jsonObject.nullish(),
  responseLogprobs: z.boolean().nullish(),
  logprobs: z.number().int().min(0).max(20).nullish(),
  thinkingConfig: z
    .object({
      thinkingBudget: z.number().int().nullish(),
      thinkingLevel: level.nullish(),
      includeThoughts: z.boolean().nullish(),
    })
    .nullish(),
});

export interface GenerateLimits {
  readonly messages: number;
  readonly tools: number;
}

function generateBodySchema({ messages, tools }: GenerateLimits) {
  return z.object({
    contents: z.union(
      [z.array(content).min(1).max(messages), content.transform((one) => [one])],
      'must be an array of contents',
    ),
    systemInstruction: z.union([z.string(), content]).nullish(),
    tools: z
      .array(z.looseObject({ functionDeclarations: z.array(declaration).max(tools).nullish() }))
      .max(maxParts)
      .nullish(),
    toolConfig: z
      .object({
        functionCallingConfig: z
          .object({
            mode: z.enum(['AUTO', 'ANY', 'NONE', 'VALIDATED', 'MODE_UNSPECIFIED']).nullish(),
            allowedFunctionNames: z.array(z.string()).max(maxParts).nullish(),
          })
          .nullish(),
      })
      .nullish(),
    generationConfig: generation.nullish(),
    cachedContent: z.string().nullish(),
    safetySettings: z.array(jsonObject).max(maxParts).nullish(),
  });
}

type GenerateBody = z.infer<ReturnType<typeof generateBodySchema>>;

/** What the path says beside the body. */
export interface GenerateTarget {
  readonly model: string;
  readonly isStream: boolean;
  /** `alt=sse`; else a stream is one JSON array. */
  readonly isSse: boolean;
}

/** The reader of `:generateContent`, `:streamGenerateContent` and `:countTokens`. @throws RequestError, LfoError 403 or 404 */
export function generateReader(deps: ReaderDeps): (received: Received, target: GenerateTarget) => ReadRequest {
  const schema = generateBodySchema(deps.limits);
  return (received, target) => {
    const { value } = received.body;
    if (!isJsonObject(value))
      throw new RequestError('The request body must be a JSON object.', { code: 'invalid_type' });
    const parsed = schema.safeParse(camelCased(value));
    if (!parsed.success) throw requestErrorOf(parsed.error);
    return toRequest(parsed.data, received, target, deps);
  };
}

function toRequest(body: GenerateBody, received: Received, target: GenerateTarget, deps: ReaderDeps): ReadRequest {
  if (isGiven(body.cachedContent)) {
    throw new RequestError('cachedContent: nothing is stored here; send the content itself.', {
      param: 'cachedContent',
    });
  }
  const warnings: Warnings = new Map();
  const address = addressOf(received, { model: target.model, isStream: target.isStream }, deps);
  const patterns: PatternBudget = { left: patternCharsPerRequest };
  const { tools, toolChoice, isStrict } = toTools(body, patterns);
  const conversation = new Conversation(warnings);
  conversation.instruction('system', systemTexts(body.systemInstruction, deps));
  const building: Building = { conversation, tools, ids: new Set(), unanswered: new Map() };
  for (const [i, message] of body.contents.entries()) addContent(message, `contents[${i}]`, building);
  const messages = conversation.end('contents');
  warnOfLoops(messages, warnings);
  const google = toGoogle(body);
  const config = body.generationConfig ?? undefined;
  const responseFormat = toResponseFormat(config, patterns);
  const request: ChatRequest = {
    id: received.id,
    model: address.model,
    messages,
    tools: isStrict ? tools.specs.map((spec) => ({ ...spec, strict: true })) : tools.specs,
    ...(toolChoice !== undefined && { toolChoice }),
    ...(responseFormat !== undefined && { responseFormat }),
    sampling: toSampling(config),
    stream: target.isStream,
    ...(google !== undefined && { google }),
    hints: address.hints,
    bodyBytes: received.body.bytes,
  };
  const isThinkingShown = config?.thinkingConfig?.includeThoughts === true;
  const format = new GenerateFormat({
    request,
    model: address.askedModel,
    tools,
    isThinkingShown,
    isSse: target.isSse,
  });
  return { request, warnings, format };
}

function systemTexts(
  instruction: GenerateBody['systemInstruction'],
  { canonicalHead }: Pick<ReaderDeps, 'canonicalHead'>,
): readonly string[] {
  if (!isGiven(instruction)) return [];
  if (typeof instruction === 'string') return [canonicalHead(instruction)];
  return (instruction.parts ?? []).flatMap(({ text }) => (isGiven(text) ? [canonicalHead(text)] : []));
}

interface Building {
  readonly conversation: Conversation;
  readonly tools: FlatTools;
  /** Of calls made so far. */
  readonly ids: Set<string>;
  /** Ids of calls without a response, by name: a response without the id of a call answers the first of its name. */
  readonly unanswered: Map<string, Set<string>>;
}

function addContent({ role, parts }: z.infer<typeof content>, param: string, building: Building): void {
  const { conversation, tools, ids, unanswered } = building;
  if (role === 'model') {
    const texts: string[] = [];
    const made: ToolCall[] = [];
    for (const { text, thought, functionCall, thoughtSignature } of parts ?? []) {
      if (thought === true) {
        conversation.thought(text ?? '');
        continue;
      }
      if (isGiven(text)) texts.push(text);
      if (!isGiven(functionCall)) continue;
      const { id, name, args } = functionCall;
      const ownId = id ?? `call_${ids.size}`;
      ids.add(ownId);
      unanswered.set(name, (unanswered.get(name) ?? new Set()).add(ownId));
      made.push({
        id: ownId,
        name: tools.flatName(name),
        arguments: JSON.stringify(args ?? {}),
        ...(isGiven(thoughtSignature) && { thoughtSignature }),
      });
    }
    return conversation.assistant(texts, made);
  }
  const media: ContentPart[] = [];
  const said: ContentPart[] = [];
  for (const [i, one] of (parts ?? []).entries()) {
    const at = `${param}.parts[${i}]`;
    if (isGiven(one.functionResponse))
      media.push(...addResponse(one.functionResponse, `${at}.functionResponse`, building));
    else said.push(...mediaParts(one, at));
    if (isGiven(one.text) && one.text !== '' && one.thought !== true) said.push(textPart(one.text));
  }
  conversation.user([...media, ...said]);
}

/** Returns the media of the response, which follow it as the user's, since results are texts. */
function addResponse(
  { id, name, response, parts }: NonNullable<z.infer<typeof part>['functionResponse']>,
  param: string,
  { conversation, ids, unanswered }: Building,
): readonly ContentPart[] {
  const named = unanswered.get(name);
  const [first] = named ?? [];
  // Some clients make up an id for a call that came without one.
  const answered = isGiven(id) && ids.has(id) ? id : (first ?? id ?? '');
  named?.delete(answered);
  conversation.result(answered, responseText(response ?? {}), param);
  return (parts ?? []).flatMap((one, i) => mediaParts(one, `${param}.parts[${i}]`));
}

function mediaParts(
  { inlineData, fileData }: Pick<z.infer<typeof part>, 'inlineData' | 'fileData'>,
  param: string,
): readonly ContentPart[] {
  if (isGiven(fileData)) {
    throw new RequestError(`${param}.fileData: no files are stored or fetched here; send inlineData.`, {
      param: `${param}.fileData`,
    });
  }
  return isGiven(inlineData) ? [mediaPart(inlineData, `${param}.inlineData`)] : [];
}

/** The one string of an object stands for it, and so does what a known SDK wraps its results in. */
function responseText(response: JsonObject): string {
  const entries = Object.entries(response);
  const [first] = entries;
  if (entries.length === 1 && first !== undefined && typeof first[1] === 'string') return first[1];
  if (entries.length === 2 && typeof response['name'] === 'string' && 'content' in response) {
    return textOf(response['content']);
  }
  return JSON.stringify(response);
}

function textOf(value: JsonValue | undefined): string {
  return typeof value === 'string' ? value : JSON.stringify(value ?? null);
}

function mediaPart({ mimeType, data }: z.infer<typeof blob>, param: string): ContentPart {
  const url = `data:${mimeType};base64,${data}`;
  if (mimeType.startsWith('image/')) return { type: 'image', url: readImageUrl(url, param, false) };
  if (mimeType.startsWith('audio/')) return { type: 'audio', data, format: mimeType.slice('audio/'.length) };
  return { type: 'file', data: url };
}

/** What only Google's models are given; the backends say where it is left out. */
function toGoogle({ tools, safetySettings }: GenerateBody): ChatRequest['google'] {
  const hosted = (tools ?? []).flatMap((tool) =>
    Object.entries(tool).flatMap(([name, settings]) =>
      name !== 'functionDeclarations' && isJsonObject(settings) ? [{ [name]: settings }] : [],
    ),
  );
  if (hosted.length === 0 && !isGiven(safetySettings)) return undefined;
  return { tools: hosted, safetySettings: safetySettings ?? [] };
}

function toTools(
  body: GenerateBody,
  patterns: PatternBudget,
): { tools: FlatTools; toolChoice?: ToolChoice; isStrict: boolean } {
  const tools = new FlatTools();
  for (const [i, { functionDeclarations }] of (body.tools ?? []).entries()) {
    for (const [j, { name, description, parameters, parametersJsonSchema }] of (functionDeclarations ?? []).entries()) {
      const param = `tools[${i}].functionDeclarations[${j}].parameters`;
      const schema = parametersJsonSchema ?? (isGiven(parameters) ? plainSchema(parameters) : undefined);
      assertTameSchema(schema, param, patterns);
      tools.add(
        { name },
        { ...(isGiven(description) && { description }), ...(isGiven(schema) && { parameters: schema }) },
      );
    }
  }
  const config = body.toolConfig?.functionCallingConfig;
  const isStrict = config?.mode === 'VALIDATED';
  const allowed = config?.allowedFunctionNames ?? [];
  if (config?.mode === 'NONE') return { tools, toolChoice: { type: 'none' }, isStrict };
  if (allowed.length > 0) {
    const names = new Set(allowed.map((name) => tools.flatName(name)));
    const kept = tools.specs.filter(({ name }) => names.has(name));
    if (kept.length === 0) {
      const param = 'toolConfig.functionCallingConfig.allowedFunctionNames';
      throw new RequestError(`${param}: names no function that is declared.`, { param });
    }
    tools.specs.splice(0, tools.specs.length, ...kept);
  }
  if (config?.mode !== 'ANY' || tools.specs.length === 0) return { tools, isStrict };
  const [only, second] = tools.specs;
  if (only !== undefined && second === undefined)
    return { tools, toolChoice: { type: 'function', name: only.name }, isStrict };
  return { tools, toolChoice: { type: 'required' }, isStrict };
}

function toResponseFormat(
  config: z.infer<typeof generation> | undefined,
  patterns: PatternBudget,
): ResponseFormat | undefined {
  const schema =
    config?.responseJsonSchema ?? (isGiven(config?.responseSchema) ? plainSchema(config.responseSchema) : undefined);
  if (isGiven(schema)) {
    assertTameSchema(schema, 'generationConfig.responseSchema', patterns);
    return { type: 'json_schema', name: 'answer', schema };
  }
  return config?.responseMimeType === 'application/json' ? { type: 'json_object' } : undefined;
}

function toSampling(config: z.infer<typeof generation> | undefined): Sampling {
  const effort = effortOf(config?.thinkingConfig);
  const topK = isGiven(config?.topK) ? Math.trunc(config.topK) : 0;
  return {
    ...(isGiven(config?.temperature) && { temperature: config.temperature }),
    ...(isGiven(config?.topP) && { topP: config.topP }),
    ...(topK > 0 && { topK }),
    ...(isGiven(config?.maxOutputTokens) && { maxTokens: config.maxOutputTokens }),
    stop: (config?.stopSequences ?? []).filter((text) => text !== ''),
    ...(isGiven(config?.seed) && { seed: config.seed }),
    ...(isGiven(config?.presencePenalty) && { presencePenalty: config.presencePenalty }),
    ...(isGiven(config?.frequencyPenalty) && { frequencyPenalty: config.frequencyPenalty }),
    logprobs: config?.responseLogprobs === true,
    ...(config?.responseLogprobs === true && isGiven(config.logprobs) && { topLogprobs: config.logprobs }),
    ...(effort !== undefined && { reasoningEffort: effort }),
  };
}

function effortOf(thinking: z.infer<typeof generation>['thinkingConfig']): Effort | undefined {
  const asked = thinking?.thinkingLevel;
  if (asked === 'minimal' || asked === 'low' || asked === 'medium' || asked === 'high') return asked;
  const budget = thinking?.thinkingBudget;
  return isGiven(budget) && budget >= 0 ? effortOfBudget(budget) : undefined;
}
