import { isObject } from './check-fields.ts';
import { checkJsonSchema, checkNativeSchema } from './check-schema.ts';
import type { FakeModel } from './fake-models.ts';

/** Why the model would refuse a `generationConfig` whose fields are known to be right. */
export function checkGeneration(config: unknown, hasTools: boolean, model: FakeModel): string | undefined {
  if (!isObject(config)) return undefined;
  return (
    checkNumbers(config) ??
    checkThinking(config['thinkingConfig'], model) ??
    checkForm(config, hasTools, model) ??
    checkFeatures(config, model)
  );
}

type Config = Readonly<Record<string, unknown>>;

function checkNumbers(config: Config): string | undefined {
  const { stopSequences, temperature, topP, maxOutputTokens, candidateCount } = config;
  if (Array.isArray(stopSequences) && (stopSequences.length > 5 || stopSequences.includes(''))) {
    return 'At most 5 stop sequences, none empty, are supported.';
  }
  if (isOutside(temperature, 0, 2)) return 'temperature must be between 0 and 2.';
  if (isOutside(topP, 0, 1)) return 'top_p must be between 0 and 1.';
  if (isOutside(maxOutputTokens, 1, 2 ** 31)) return 'max_output_tokens must be positive.';
  return isOutside(candidateCount, 1, 8) ? 'candidate_count must be between 1 and 8.' : undefined;
}

function checkThinking(thinking: unknown, model: FakeModel): string | undefined {
  if (!isObject(thinking)) return undefined;
  const { thinkingBudget: budget, thinkingLevel: level } = thinking;
  if (budget !== undefined && level !== undefined) return 'thinking_budget and thinking_level cannot be set together.';
  if (model.generation < 2.5) return 'Thinking is not supported by this model.';
  if (level !== undefined && model.levels?.some((known) => known === level) !== true)
    return 'Thinking level is not supported for this model.';
  const isAwake = budget === undefined ? model.thinksUnasked === true || level !== undefined : budget !== 0;
  if (thinking['includeThoughts'] === true && !isAwake)
    return 'Thinking_config.include_thoughts is only enabled when thinking is enabled.';
  if (budget === undefined || budget === -1) return undefined;
  if (model.budget === undefined) return 'Thinking budget is not supported for this model.';
  if (budget === 0)
    return model.budget.zero ? undefined : 'Budget 0 is invalid. This model only works in thinking mode.';
  return isOutside(budget, model.budget.min, model.budget.max) ? 'The thinking budget is out of range.' : undefined;
}

function checkForm(config: Config, hasTools: boolean, model: FakeModel): string | undefined {
  const { responseMimeType: mime, responseSchema: native, responseJsonSchema: json } = config;
  if (native !== undefined && json !== undefined)
    return 'response_schema and response_json_schema cannot be set together.';
  if ((native ?? json) !== undefined && mime !== 'application/json')
    return 'A response schema needs the mime type application/json.';
  if (mime !== undefined && mime !== 'text/plain' && hasTools && model.generation < 3) {
    return `Function calling with a response mime type: ${JSON.stringify(mime)} is unsupported`;
  }
  if (json !== undefined && model.generation < 2) return 'response_json_schema is not supported for this model.';
  if (json !== undefined) return checkJsonSchema(json, 'generation_config.response_json_schema');
  return native === undefined ? undefined : checkNativeSchema(native, 'generation_config.response_schema');
}

function checkFeatures(config: Config, model: FakeModel): string | undefined {
  if ((config['presencePenalty'] ?? config['frequencyPenalty']) !== undefined && !model.penalties) {
    return `Penalty is not enabled for models/${model.name}`;
  }
  if (config['responseLogprobs'] === true && !model.logprobs) return `Logprobs is not enabled for models/${model.name}`;
  if (config['logprobs'] !== undefined && config['responseLogprobs'] !== true)
    return 'logprobs needs response_logprobs.';
  return isOutside(config['logprobs'], 0, 20) ? 'logprobs must be between 0 and 20.' : undefined;
}

function isOutside(value: unknown, min: number, max: number): boolean {
  return typeof value === 'number' && (value < min || value > max);
}
