import { z } from 'zod';
import type { JsonObject, JsonValue } from '../../../core/json.ts';

/** Body of `:generateContent` and `:streamGenerateContent`, as far as LFO fills it (Gemini API v1beta). */
export interface GenerateContentBody {
  readonly contents: readonly Content[];
  readonly systemInstruction?: { readonly parts: readonly Part[] };
  /** Functions; or, in Google's words, what its own servers do. */
  readonly tools?: readonly { readonly functionDeclarations: readonly FunctionDeclaration[] }[] | readonly JsonObject[];
  readonly safetySettings?: readonly JsonObject[];
  readonly toolConfig?: { readonly functionCallingConfig: FunctionCallingConfig };
  readonly generationConfig?: GenerationConfig;
}

export interface Content {
  readonly role: 'user' | 'model';
  readonly parts: readonly Part[];
}

/** Exactly one of text, inlineData, functionCall and functionResponse. */
export interface Part {
  readonly text?: string;
  readonly inlineData?: { readonly mimeType: string; readonly data: string };
  readonly functionCall?: { readonly id?: string; readonly name: string; readonly args: JsonObject };
  readonly functionResponse?: { readonly id?: string; readonly name: string; readonly response: JsonObject };
  readonly thoughtSignature?: string;
}

/** `parameters` and `parametersJsonSchema` exclude each other. */
export interface FunctionDeclaration {
  readonly name: string;
  readonly description?: string;
  readonly parameters?: JsonObject;
  readonly parametersJsonSchema?: JsonObject;
}

export interface FunctionCallingConfig {
  readonly mode: 'AUTO' | 'ANY' | 'NONE' | 'VALIDATED';
  readonly allowedFunctionNames?: readonly string[];
}

/** `responseSchema` and `responseJsonSchema` exclude each other, and so do the two settings of thinking. */
export interface GenerationConfig {
  readonly maxOutputTokens?: number;
  readonly temperature?: number;
  readonly topP?: number;
  readonly topK?: number;
  readonly stopSequences?: readonly string[];
  readonly seed?: number;
  readonly presencePenalty?: number;
  readonly frequencyPenalty?: number;
  readonly responseLogprobs?: boolean;
  readonly logprobs?: number;
  readonly responseMimeType?: string;
  readonly responseSchema?: JsonObject;
  readonly responseJsonSchema?: JsonObject;
  readonly thinkingConfig?: ThinkingConfig;
}

export interface ThinkingConfig {
  readonly includeThoughts?: boolean;
  readonly thinkingBudget?: number;
  readonly thinkingLevel?: ThinkingLevel;
}

export type ThinkingLevel = 'MINIMAL' | 'LOW' | 'MEDIUM' | 'HIGH';

const json: z.ZodType<JsonValue | undefined> = z.any();

const partialArg = z.object({
  jsonPath: z.string(),
  stringValue: z.string().optional(),
  numberValue: z.number().optional(),
  boolValue: z.boolean().optional(),
  nullValue: json.optional(),
});

const functionCall = z.object({
  id: z.string().optional(),
  name: z.string().optional(),
  args: json.optional(),
  partialArgs: z.array(partialArg).optional(),
  willContinue: z.boolean().optional(),
});

const part = z.object({
  text: z.string().optional(),
  thought: z.boolean().optional(),
  thoughtSignature: z.string().optional(),
  functionCall: functionCall.optional(),
  inlineData: z.object({ mimeType: z.string(), data: z.string() }).optional().catch(undefined),
});

const score = z.object({ token: z.string().optional(), logProbability: z.number().optional() });

const candidate = z.object({
  content: z.object({ parts: z.array(part).nullish() }).nullish(),
  finishReason: z.string().nullish(),
  logprobsResult: z
    .object({
      chosenCandidates: z.array(score).nullish(),
      topCandidates: z.array(z.object({ candidates: z.array(score).nullish() })).nullish(),
    })
    .nullish(),
});

/** One unary answer or one stream chunk. Counts are left unread: a broken count must not cost the answer. */
export const answerChunk = z.object({
  candidates: z.array(candidate).nullish(),
  promptFeedback: z.object({ blockReason: z.string().nullish() }).nullish(),
  usageMetadata: z.record(z.string(), z.unknown()).nullish().catch(undefined),
  modelVersion: z.string().nullish(),
});

export type AnswerChunk = z.infer<typeof answerChunk>;
export type AnswerPart = z.infer<typeof part>;
export type AnswerFunctionCall = z.infer<typeof functionCall>;
export type PartialArg = z.infer<typeof partialArg>;
export type AnswerLogprobs = NonNullable<z.infer<typeof candidate>['logprobsResult']>;

export const googleError = z.object({
  code: z.number().optional(),
  status: z.string().optional().catch(undefined),
  message: z.string().optional().catch(undefined),
  details: z.array(z.record(z.string(), z.unknown())).optional().catch(undefined),
});

export type GoogleError = z.infer<typeof googleError>;
