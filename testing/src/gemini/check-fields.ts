import { fieldsOf, type FieldType } from './wire-fields.ts';

/** Where and how a body departs from a published message; `undefined` when it does not. */
export function checkFields(value: unknown, message: string, path = ''): string | undefined {
  if (!isObject(value)) return `Invalid value at '${path}': ${message} expected.`;
  const fields = fieldsOf(message) ?? {};
  for (const [name, inner] of Object.entries(value)) {
    const type = Object.hasOwn(fields, name) ? fields[name] : undefined;
    if (type === undefined)
      return `Invalid JSON payload received. Unknown name "${name}" at '${path}': Cannot find field.`;
    const fault = checkType(inner, type, path === '' ? name : `${path}.${name}`);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

/** Whether a parsed value is an object, neither null nor an array. */
export function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function checkType(value: unknown, type: FieldType, path: string): string | undefined {
  if (typeof type === 'object') return checkComposite(value, type, path);
  return scalars[type](value) ? undefined : `Invalid value at '${path}': ${type} expected.`;
}

function checkComposite(value: unknown, type: Exclude<FieldType, string>, path: string): string | undefined {
  if ('message' in type) return checkFields(value, type.message, path);
  if ('enum' in type) {
    const isKnown = typeof value === 'string' && type.enum.includes(value);
    return isKnown ? undefined : `Invalid value at '${path}': one of ${type.enum.join(', ')} expected.`;
  }
  if ('list' in type) {
    if (!Array.isArray(value)) return `Invalid value at '${path}': a list expected.`;
    return firstFault(value.map((item: unknown, index) => checkType(item, type.list, `${path}[${index}]`)));
  }
  if (!isObject(value)) return `Invalid value at '${path}': a map expected.`;
  return firstFault(Object.entries(value).map(([name, item]) => checkType(item, type.map, `${path}['${name}']`)));
}

function firstFault(faults: readonly (string | undefined)[]): string | undefined {
  return faults.find((fault) => fault !== undefined);
}

type Scalar = Extract<FieldType, string>;

const scalars: Readonly<Record<Scalar, (value: unknown) => boolean>> = {
  string: (value) => typeof value === 'string' && value.isWellFormed(),
  bytes: (value) => typeof value === 'string' && /^[A-Za-z0-9+/_-]+={0,2}$/.test(value),
  bool: (value) => typeof value === 'boolean',
  int32: (value) => typeof value === 'number' && Number.isInteger(value) && Math.abs(value) <= 2 ** 31,
  int64: (value) => typeof value === 'number' && Number.isSafeInteger(value),
  double: (value) => typeof value === 'number' && Number.isFinite(value),
  struct: isObject,
  value: (value) => value !== undefined,
};
