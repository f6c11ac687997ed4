import { createContext, Script } from 'node:vm';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { EngineError } from '@lfo/device-core';

const compileTimeoutMs = 1000;
/** A pattern that backtracks and choices that multiply may take for ever. */
const checkTimeoutMs = 250;
const call = new Script('run()');

/**
 * Compiles a client's JSON schema into a check; a value that takes too long to check counts as invalid.
 * @throws EngineError `bad_request` when it is no valid schema.
 */
export function compileValidator(schema: Readonly<Record<string, unknown>>): (value: unknown) => boolean {
  const { $schema: _dialect, $id: _id, ...body } = schema;
  const ajv = new Ajv2020({ strict: false, validateFormats: false, unevaluated: usesUnevaluated(body), logger: false });
  try {
    const validate = bounded(() => ajv.compile(body), compileTimeoutMs);
    return (value) => {
      try {
        return bounded(() => validate(value), checkTimeoutMs);
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

/** Runs it in a context with a timeout, the one thing that interrupts code that runs. */
function bounded<T>(run: () => T, timeoutMs: number): T {
  let result: { readonly value: T } | undefined;
  call.runInContext(createContext({ run: () => (result = { value: run() }) }), { timeout: timeoutMs });
  if (result === undefined) throw new Error('unreachable');
  return result.value;
}

/** Only then must every choice be tried, the valid ones too. */
function usesUnevaluated(schema: unknown): boolean {
  return JSON.stringify(schema).includes('"unevaluated');
}
