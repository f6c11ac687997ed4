import { runInNewContext } from 'node:vm';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { EngineError } from '@lfo/device-core';

const patternTimeoutMs = 100;

/**
 * Compiles a client's JSON schema into a check.
 * @throws EngineError `bad_request` when it is no valid schema.
 */
export function compileValidator(schema: Readonly<Record<string, unknown>>): (value: unknown) => boolean {
  const { $schema: _dialect, $id: _id, ...body } = schema;
  const ajv = new Ajv2020({
    strict: false,
    validateFormats: false,
    addUsedSchema: false,
    logger: false,
    code: { regExp: boundedPattern },
  });
  try {
    const validate = ajv.compile(body);
    return (value) => {
      try {
        return validate(value);
      } catch {
        return false;
      }
    };
  } catch (cause) {
    throw new EngineError(
      'bad_request',
      'The JSON schema cannot be compiled; check it with a JSON Schema validator.',
      false,
      { cause },
    );
  }
}

/** A client's pattern may backtrack for ever; a context with a timeout is the one thing that interrupts it. */
function boundedPattern(pattern: string, flags: string): { test: (text: string) => boolean; toString: () => string } {
  const { source } = new RegExp(pattern, flags);
  return {
    // Ajv keeps one pattern for each of these texts.
    toString: () => `/${source}/${flags}`,
    test: (text) =>
      runInNewContext(
        'new RegExp(pattern, flags).test(text)',
        { pattern, flags, text },
        { timeout: patternTimeoutMs },
      ) === true,
  };
}
boundedPattern.code = 'boundedPattern';
