import { RequestError } from '../core/errors.ts';
import { isJsonObject, type JsonValue } from '../core/json.ts';
import { isAmbiguousPattern } from './regex-ambiguity.ts';

const maxPatternLength = 1000;

/** Characters of patterns one request may still bring: looking at each costs a fifth of a microsecond. */
export interface PatternBudget {
  left: number;
}

/** What a request begins with. */
export const patternCharsPerRequest = 20_000;

/**
 * Refuses a JSON Schema whose patterns could occupy the process for ever once a model's arguments are checked by them.
 * @throws RequestError naming the pattern's place
 */
export function assertTameSchema(schema: JsonValue | undefined, param: string, budget: PatternBudget): void {
  if (typeof schema !== 'object' || schema === null) return;
  if (!isJsonObject(schema)) {
    for (const [i, item] of schema.entries()) assertTameSchema(item, `${param}[${i}]`, budget);
    return;
  }
  for (const key in schema) {
    const value = schema[key];
    if (key === 'pattern' && typeof value === 'string') assertTamePattern(value, `${param}.pattern`, budget);
    else if (typeof value === 'object') {
      if (key === 'patternProperties' && isJsonObject(value)) {
        for (const pattern in value) assertTamePattern(pattern, `${param}.patternProperties`, budget);
      }
      assertTameSchema(value, `${param}.${key}`, budget);
    }
  }
}

function assertTamePattern(pattern: string, param: string, budget: PatternBudget): void {
  budget.left -= pattern.length;
  if (budget.left < 0) {
    throw new RequestError(`${param}: the patterns are longer than ${patternCharsPerRequest} characters together.`, {
      param,
    });
  }
  if (pattern.length > maxPatternLength) {
    throw new RequestError(`${param}: is longer than ${maxPatternLength} characters.`, { param });
  }
  if (isAmbiguousPattern(pattern)) {
    throw new RequestError(
      `${param}: repeats a group that can match one text in several ways; rewrite it without nested repeats.`,
      { param },
    );
  }
}
