import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';

import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '@lfo/router/src/core/json.ts';
import { Ajv2020 } from 'ajv/dist/2020.js';

import { referenceData, withoutReferenceData } from './reference-data.ts';

/** Asserts that a value fits one schema of OpenAI's document. */
export type AssertFits = (schema: string, value: unknown) => void;

/** Compiles OpenAI's document on first use; checks nothing where it is absent. */
export function openApiValidator(): AssertFits {
  if (withoutReferenceData !== false) return () => undefined;
  const document = parseJson(readFileSync(join(referenceData, 'openai/openapi.json'), 'utf8'));
  assert.ok(isJsonObject(document) && isJsonObject(document.components) && isJsonObject(document.components.schemas));
  const ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true });
  ajv.addSchema({ $id: 'openai', components: { schemas: withNull(document.components.schemas) } });
  return (name, value) => {
    const validate = ajv.getSchema(`openai#/components/schemas/${name}`);
    assert.ok(validate !== undefined, `the document has no schema ${name}`);
    assert.ok(validate(value), `${name}: ${ajv.errorsText(validate.errors)} in ${JSON.stringify(value)}`);
  };
}

/** The document marks null by `nullable`, which JSON Schema does not know. */
function withNull(schema: JsonValue): JsonValue {
  if (typeof schema !== 'object' || schema === null) return schema;
  if (!isJsonObject(schema)) return schema.map(withNull);
  const { nullable, ...rest } = schema;
  const walked: JsonObject = Object.fromEntries(Object.entries(rest).map(([key, value]) => [key, withNull(value)]));
  return nullable === true ? { anyOf: [walked, { type: 'null' }] } : walked;
}
