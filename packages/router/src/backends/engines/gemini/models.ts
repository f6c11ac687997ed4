import type { Sampling } from '../../../core/request.ts';
import type { ThinkingLevel } from './wire.ts';

/** What one family of models takes, after Google's guides to models, thinking, signatures and structured output. */
export interface ModelTraits {
  /** Dialect of tool parameters: `json` is `parametersJsonSchema`, `native` the OpenAPI subset in `parameters`. */
  readonly toolSchema: 'json' | 'native';
  /** Dialect of structured output: `responseJsonSchema` or `responseSchema`. */
  readonly responseSchema: 'json' | 'native';
  readonly thinking: Thinking;
  /** Whether summaries of its thoughts may be asked for where it thinks. */
  readonly thoughts: boolean;
  /** Whether the first function call of each step of the current turn must carry its signature. */
  readonly signatures: 'required' | 'optional' | 'none';
  /** Presence and frequency penalties. */
  readonly penalties: boolean;
  readonly logprobs: boolean;
  /** Tools and `responseMimeType: application/json` in one request. */
  readonly toolsWithJson: boolean;
  /** Calling mode `VALIDATED`. */
  readonly validatedCalls: boolean;
  readonly tools: boolean;
  readonly systemInstruction: boolean;
  /** Whether the last turn of a history may be the model's; a 400 since Gemini 3.5. */
  readonly modelMayComeLast: boolean;
  /** Tokens of prompt; absent: not known. */
  readonly contextTokens?: number;
  /** Tokens of an answer; absent: not known. */
  readonly maxOutputTokens?: number;
}

/** How reasoning effort is set; the wrong kind is a 400. */
export type Thinking =
  | { readonly type: 'fixed' }
  /** Tokens; `off` says whether 0 is allowed, `unasked` whether the model thinks where nothing is said. */
  | {
      readonly type: 'budget';
      readonly min: number;
      readonly max: number;
      readonly off: boolean;
      readonly unasked: boolean;
    }
  /** Least first; such models always think. */
  | { readonly type: 'level'; readonly levels: readonly ThinkingLevel[] };

type Effort = NonNullable<Sampling['reasoningEffort']>;

const gemini3: ModelTraits = {
  toolSchema: 'json',
  responseSchema: 'json',
  thinking: { type: 'level', levels: ['LOW', 'HIGH'] },
  thoughts: true,
  signatures: 'required',
  penalties: false,
  logprobs: false,
  toolsWithJson: true,
  validatedCalls: true,
  tools: true,
  systemInstruction: true,
  modelMayComeLast: true,
  contextTokens: 1_048_576,
  maxOutputTokens: 65_536,
};

const gemini25: ModelTraits = {
  ...gemini3,
  thinking: { type: 'budget', min: 1, max: 24_576, off: true, unasked: true },
  signatures: 'optional',
  logprobs: true,
  toolsWithJson: false,
};

const gemini20: ModelTraits = {
  ...gemini25,
  toolSchema: 'native',
  thinking: { type: 'fixed' },
  signatures: 'none',
  penalties: true,
  validatedCalls: false,
  maxOutputTokens: 8_192,
};

const gemini15: ModelTraits = { ...gemini20, responseSchema: 'native' };

/** Open models on the same endpoint: neither tools nor a system instruction. */
const gemma: ModelTraits = { ...gemini15, penalties: false, logprobs: false, tools: false, systemInstruction: false };

const allLevels: Thinking = { type: 'level', levels: ['MINIMAL', 'LOW', 'MEDIUM', 'HIGH'] };

const gemini35: ModelTraits = { ...gemini3, thinking: allLevels, modelMayComeLast: false };

/** A moving alias may name any generation: send what all of them take, sign as the strictest wants it. */
const latest: ModelTraits = {
  ...gemini25,
  thinking: { type: 'fixed' },
  signatures: 'required',
  logprobs: false,
  modelMayComeLast: false,
};

const families: Readonly<Record<string, ModelTraits>> = {
  'gemini-3': gemini3,
  'gemini-3-pro': gemini3,
  'gemini-3-flash': { ...gemini3, thinking: allLevels },
  'gemini-3.1': { ...gemini3, thinking: { type: 'level', levels: ['LOW', 'MEDIUM', 'HIGH'] } },
  'gemini-3.1-flash': { ...gemini3, thinking: allLevels },
  'gemini-3.1-flash-lite': { ...gemini3, thinking: allLevels },
  'gemini-3.5': gemini35,
  'gemini-3.6': gemini35,
  'gemini-2.5': gemini25,
  'gemini-2.5-pro': {
    ...gemini25,
    thinking: { type: 'budget', min: 128, max: 32_768, off: false, unasked: true },
  },
  'gemini-2.5-flash': gemini25,
  'gemini-2.5-flash-lite': {
    ...gemini25,
    thinking: { type: 'budget', min: 512, max: 24_576, off: true, unasked: false },
  },
  'gemini-2.0': gemini20,
  'gemini-1.5': gemini15,
  'gemini-pro-latest': latest,
  'gemini-flash-latest': latest,
  'gemini-flash-lite-latest': latest,
  gemma,
};

/** A model nobody has described is newer than this table: it is taken for the latest generation, thinking left alone. */
const unknownModel: ModelTraits = { ...gemini35, thinking: { type: 'fixed' }, toolsWithJson: false };

/** Traits of the longest family whose name ends where a part of the model's name ends; O(parts of the name). */
export function traitsOf(model: string): ModelTraits {
  let family = bareModelName(model);
  while (family !== '') {
    if (Object.hasOwn(families, family)) return families[family] ?? unknownModel;
    family = family.slice(0, Math.max(0, family.lastIndexOf('-')));
  }
  return unknownModel;
}

/** The name without the resource path before it (`models/`, `publishers/google/models/`). */
export function bareModelName(model: string): string {
  return model.slice(model.lastIndexOf('/') + 1);
}

/** Budgets Google's own OpenAI layer uses for the same words. */
const budgetOf: Readonly<Record<Effort, number>> = {
  none: 0,
  minimal: 512,
  low: 1_024,
  medium: 8_192,
  high: 24_576,
  xhigh: 32_768,
  max: 32_768,
};

/** Thinking tokens for an effort, within what the family takes; 0 only where thinking can be switched off. */
export function thinkingBudget(effort: Effort, range: Extract<Thinking, { type: 'budget' }>): number {
  if (effort === 'none' && range.off) return 0;
  return Math.min(range.max, Math.max(range.min, budgetOf[effort]));
}

const levelsFor: Readonly<Record<Effort, readonly ThinkingLevel[]>> = {
  none: ['MINIMAL', 'LOW'],
  minimal: ['MINIMAL', 'LOW'],
  low: ['LOW'],
  medium: ['MEDIUM', 'HIGH'],
  high: ['HIGH'],
  xhigh: ['HIGH'],
  max: ['HIGH'],
};

/** The nearest level the family has. */
export function thinkingLevel(effort: Effort, range: Extract<Thinking, { type: 'level' }>): ThinkingLevel {
  return levelsFor[effort].find((level) => range.levels.includes(level)) ?? 'LOW';
}
