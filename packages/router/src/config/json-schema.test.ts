import assert from 'node:assert/strict';
import { test } from 'node:test';
import { Ajv2020 } from 'ajv/dist/2020.js';
import { parse } from 'yaml';
import { configJsonSchema } from './json-schema.ts';
import { configReference } from './reference.ts';

test('the schema accepts the example of the reference and refuses an unknown key', () => {
  const yaml = /```yaml\n([^`]*)```/.exec(configReference())?.[1];
  const validate = new Ajv2020({ strict: false, validateFormats: false }).compile(configJsonSchema());
  assert.equal(validate(parse(yaml ?? '')), true);
  assert.equal(validate({ routing: { max: 1 } }), false);
  assert.equal(validate({}), true);
});
