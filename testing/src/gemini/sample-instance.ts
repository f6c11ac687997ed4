import { isObject } from './check-fields.ts';

/** A value that fits a schema of either dialect as Gemini would make it up; references are not followed. */
export function sampleInstance(schema: unknown, words: readonly string[] = ['sample']): unknown {
  if (!isObject(schema)) return words[0] ?? 'sample';
  const { enum: values, anyOf, items, properties } = schema;
  if (Array.isArray(values)) return values[0];
  if (Array.isArray(anyOf)) return sampleInstance(anyOf[0], words);
  const type = String(Array.isArray(schema['type']) ? schema['type'][0] : schema['type']).toLowerCase();
  if (type === 'object') {
    const required: unknown[] = Array.isArray(schema['required']) ? schema['required'] : [];
    const entries = Object.entries(isObject(properties) ? properties : {}).filter(([name]) => required.includes(name));
    return Object.fromEntries(entries.map(([name, inner]) => [name, sampleInstance(inner, words)]));
  }
  if (type === 'array') return [sampleInstance(items, words)];
  if (type === 'number' || type === 'integer') return typeof schema['minimum'] === 'number' ? schema['minimum'] : 1;
  return type === 'boolean' ? true : (words[0] ?? 'sample');
}
