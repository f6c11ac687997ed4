import { EngineError } from '@lfo/device-core';

type Schema = Readonly<Record<string, unknown>>;

/** Repetitions are unrolled by llama.cpp, so longer bounds are left to the validation afterwards. */
const maxRepetitions = 200;
/**
 * What one grammar may cost. Combined schemas grow by their product, so these bound rules, bytes and, through the parts
 * looked at and the text compared, time: a tenth of a second at most.
 */
const limits = {
  rules: 2000,
  bytes: 96 * 1024,
  parts: 20_000,
  comparedChars: 4 * 1024 * 1024,
  depth: 100,
  choices: 256,
};
const annotations = new Set([
  'title',
  'description',
  'default',
  'examples',
  'deprecated',
  'readOnly',
  'writeOnly',
  '$schema',
  '$id',
  '$comment',
  '$defs',
  'definitions',
  'strict',
]);
const typeKeywords: Readonly<Record<string, readonly string[]>> = {
  object: ['properties', 'required', 'additionalProperties'],
  array: ['items', 'minItems', 'maxItems'],
  string: ['minLength', 'maxLength', 'pattern', 'format'],
  number: ['minimum', 'maximum', 'exclusiveMinimum', 'exclusiveMaximum', 'multipleOf'],
};
const terminals: Readonly<Record<string, string>> = {
  ws: '| " " | "\\n" [ \\t]{0,20}',
  char: '[^"\\\\\\x7F\\x00-\\x1F] | "\\\\" (["\\\\bfnrt/] | "u" [0-9a-fA-F]{4})',
  string: '"\\"" char* "\\""',
  integer: '"-"? ("0" | [1-9] [0-9]{0,15})',
  number: 'integer ("." [0-9]{1,16})? ([eE] [-+]? [0-9]{1,3})?',
  boolean: '"true" | "false"',
  null: '"null"',
  object: '"{" ws (string ":" ws value ("," ws string ":" ws value)*)? ws "}"',
  array: '"[" ws (value ("," ws value)*)? ws "]"',
  value: 'object | array | string | number | boolean | null',
};

/**
 * Writes JSON schemas as rules of a llama.cpp grammar. Unlike the generator of node-llama-cpp, optional properties
 * stay optional, `anyOf`, `allOf` and references are followed, and what a grammar cannot say is reported by
 * `isExact`, so that the answer is validated instead of the rule being dropped silently. Objects are closed unless
 * `additionalProperties` opens them. A schema beyond the limits becomes any JSON, and is validated.
 */
export class SchemaGrammar {
  readonly #isLoose: boolean;
  #rules = new Map<string, string>(Object.entries(terminals));
  /** Rule of each schema by its text; while one is being written, the name it has if it was referred to. */
  #known = new Map<string, { rule: string | undefined; isOpen: boolean }>();
  #bytes = 0;
  #parts = 0;
  #comparedChars = 0;
  #depth = 0;
  #root: Schema = {};
  #isExact = true;

  /** `isLoose`: every schema becomes any JSON. */
  constructor(isLoose = false) {
    this.#isLoose = isLoose;
  }

  /** Whether every text the grammar allows satisfies the schemas added. */
  get isExact(): boolean {
    return this.#isExact;
  }

  /** Adds a schema and gives the name of its rule. @throws EngineError `bad_request` for a reference that leads nowhere. */
  add(schema: Schema): string {
    this.#root = schema;
    this.#known = new Map();
    const rules = new Map(this.#rules);
    const bytes = this.#bytes;
    try {
      if (!this.#isLoose) return this.#node(schema);
    } catch (error) {
      if (!(error instanceof TooLarge)) throw error;
      this.#rules = rules;
      this.#bytes = bytes;
      this.#depth = 0;
    }
    this.#isExact = false;
    return schema['type'] === 'object' ? 'object' : 'value';
  }

  /** Adds a rule of the caller's own and gives its name. */
  rule(body: string): string {
    const name = `r${this.#rules.size}`;
    this.#define(name, body);
    return name;
  }

  /** The grammar, starting at `root`. */
  text(root: string): string {
    return [`root ::= ${root}`, ...[...this.#rules].map(([name, body]) => `${name} ::= ${body}`)].join('\n');
  }

  /** Writes each schema once, however often it occurs and also where it contains itself. */
  #node(schema: unknown): string {
    this.#parts += 1;
    if (schema === true) return 'value';
    if (!isSchema(schema)) return this.#inexact();
    if (this.#parts > limits.parts) throw new TooLarge();
    const text = this.#textOf(schema);
    const known = this.#known.get(text);
    if (known?.isOpen === true) return (known.rule ??= this.rule('value'));
    if (known?.rule !== undefined) return known.rule;
    const entry: { rule: string | undefined; isOpen: boolean } = { rule: undefined, isOpen: true };
    this.#known.set(text, entry);
    if (++this.#depth > limits.depth) throw new TooLarge();
    const body = this.#written(schema);
    this.#depth -= 1;
    entry.isOpen = false;
    // A schema that is nothing but itself says nothing.
    if (entry.rule === undefined) entry.rule = body;
    else this.#define(entry.rule, body === entry.rule ? this.#inexact() : body);
    return entry.rule;
  }

  /** For comparison with others. */
  #textOf(value: unknown): string {
    const text = JSON.stringify(value);
    this.#comparedChars += text.length;
    if (this.#comparedChars > limits.comparedChars) throw new TooLarge();
    return text;
  }

  #define(name: string, body: string): void {
    this.#rules.set(name, body);
    this.#bytes += name.length + body.length + ' ::= \n'.length;
    if (this.#rules.size > limits.rules || this.#bytes > limits.bytes) throw new TooLarge();
  }

  #written(schema: Schema): string {
    if (typeof schema['$ref'] === 'string') return this.#reference(schema['$ref']);
    if (Array.isArray(schema['enum'])) return this.#literals(schema['enum'], schema, 'enum');
    if ('const' in schema) return this.#literals([schema['const']], schema, 'const');
    for (const key of ['anyOf', 'oneOf']) {
      const list = schema[key];
      if (Array.isArray(list)) return this.#alternatives(schema, key, list);
    }
    if (Array.isArray(schema['allOf'])) return this.#merged(schema, schema['allOf']);
    const type = schema['type'] ?? impliedType(schema);
    if (Array.isArray(type)) return this.#choice(type.map((one) => this.#typed({ ...schema, type: one }, one)));
    return this.#typed(schema, type);
  }

  #typed(schema: Schema, type: unknown): string {
    if (type === 'object') return this.#object(schema);
    if (type === 'array') return this.#array(schema);
    if (type === 'string') return this.#string(schema);
    this.#note(schema, ['type']);
    if (type === 'number' || type === 'integer' || type === 'boolean' || type === 'null') return type;
    return 'value';
  }

  #reference(reference: string): string {
    const target = reference === '#' ? this.#root : resolve(this.#root, reference);
    if (target === undefined) {
      throw new EngineError(
        'bad_request',
        'The JSON schema refers to a definition it does not contain; add it under $defs.',
        false,
      );
    }
    return this.#node(target);
  }

  #alternatives(schema: Schema, key: string, list: readonly unknown[]): string {
    const { [key]: _list, ...base } = schema;
    if (key === 'oneOf') this.#isExact = false;
    if (list.length === 0) return this.#inexact();
    return this.#choice(list.map((one) => this.#merged(base, [one])));
  }

  #merged(schema: Schema, parts: readonly unknown[]): string {
    const { allOf: _allOf, ...base } = schema;
    const constraints = Object.keys(base).filter((key) => !annotations.has(key));
    if (constraints.length === 0 && parts.length === 1) return this.#node(parts[0]);
    let merged: Schema | undefined = base;
    for (const part of parts) {
      const whole: unknown =
        isSchema(part) && typeof part['$ref'] === 'string' ? resolve(this.#root, part['$ref']) : part;
      merged = merged && merge(merged, whole, (one, other) => this.#textOf(one) === this.#textOf(other));
    }
    return merged === undefined ? this.#inexact() : this.#node(merged);
  }

  #literals(values: readonly unknown[], schema: Schema, keyword: string): string {
    this.#note(schema, [keyword, 'type']);
    return this.#choice(values.map((value) => literal(JSON.stringify(value))));
  }

  #choice(choices: readonly string[]): string {
    const different = [...new Set(choices)];
    if (different.length > limits.choices) throw new TooLarge();
    const [only, ...more] = different;
    return only !== undefined && more.length === 0 && /^\w+$/.test(only) ? only : this.rule(different.join(' | '));
  }

  #object(schema: Schema): string {
    this.#note(schema, ['type', 'properties', 'required', 'additionalProperties']);
    const properties = isSchema(schema['properties']) ? schema['properties'] : {};
    const required = Array.isArray(schema['required'])
      ? schema['required'].filter((key) => typeof key === 'string')
      : [];
    const extra = this.#extraMember(schema, Object.keys(properties).length + required.length);
    const names = [...new Set([...Object.keys(properties), ...required])];
    let first = extra === undefined ? '""' : `(${extra} ("," ws ${extra})*)?`;
    let later = extra === undefined ? '""' : `("," ws ${extra})*`;
    for (const name of names.toReversed()) {
      const member = `${literal(JSON.stringify(name))} ":" ws ${this.#node(properties[name] ?? true)}`;
      const rest = this.rule(later);
      const isRequired = required.includes(name);
      const skipped = isRequired ? '' : ` | ${this.rule(first)}`;
      first = `${member} ${rest}${skipped}`;
      later = isRequired ? `"," ws ${member} ${rest}` : `("," ws ${member})? ${rest}`;
    }
    return this.rule(`"{" ws ${this.rule(first)} ws "}"`);
  }

  #extraMember(schema: Schema, declared: number): string | undefined {
    const extra = schema['additionalProperties'] ?? (declared === 0 ? true : undefined);
    if (extra === undefined || extra === false) return undefined;
    if (declared > 0) this.#isExact = false;
    return this.rule(`string ":" ws ${this.#node(extra)}`);
  }

  #array(schema: Schema): string {
    this.#note(schema, ['type', 'items', 'minItems', 'maxItems']);
    const item = this.#node(schema['items'] ?? true);
    const [min, max] = this.#bounds(schema['minItems'], schema['maxItems']);
    if (max === 0) return this.rule('"[" ws "]"');
    const more = `("," ws ${item}){${Math.max(0, min - 1)},${max === undefined ? '' : max - 1}}`;
    return this.rule(`"[" ws ${min === 0 ? `(${item} ${more})?` : `${item} ${more}`} ws "]"`);
  }

  #string(schema: Schema): string {
    this.#note(schema, ['type', 'minLength', 'maxLength']);
    if (schema['minLength'] === undefined && schema['maxLength'] === undefined) return 'string';
    const [min, max] = this.#bounds(schema['minLength'], schema['maxLength']);
    return this.rule(`"\\"" char{${min},${max ?? ''}} "\\""`);
  }

  #bounds(least: unknown, most: unknown): [number, number | undefined] {
    const min = typeof least === 'number' ? least : 0;
    const max = typeof most === 'number' ? most : undefined;
    if (min <= maxRepetitions && (max ?? 0) <= maxRepetitions && min <= (max ?? min)) return [min, max];
    this.#isExact = false;
    return [Math.min(min, maxRepetitions), undefined];
  }

  #inexact(): string {
    this.#isExact = false;
    return 'value';
  }

  #note(schema: Schema, expressed: readonly string[]): void {
    if (Object.keys(schema).some((key) => !annotations.has(key) && !expressed.includes(key))) this.#isExact = false;
  }
}

/** A schema that would make too large a grammar. */
class TooLarge extends Error {}

/** A grammar literal of this text. */
export function literal(text: string): string {
  return JSON.stringify(text).replace(/\u007f/g, '\\x7F');
}

function impliedType(schema: Schema): string | undefined {
  return Object.keys(typeKeywords).find((type) => typeKeywords[type]?.some((keyword) => keyword in schema));
}

/** Both schemas in one, or undefined when they speak of the same thing differently. */
function merge(a: Schema, b: unknown, areSame: (one: unknown, other: unknown) => boolean): Schema | undefined {
  if (b === true) return a;
  if (!isSchema(b)) return undefined;
  const merged: Record<string, unknown> = { ...a };
  for (const [key, value] of Object.entries(b)) {
    const present = merged[key];
    if (present === undefined || annotations.has(key)) merged[key] = value;
    else if (key === 'required' && Array.isArray(present) && Array.isArray(value)) merged[key] = [...present, ...value];
    else if (
      key === 'properties' &&
      isSchema(present) &&
      isSchema(value) &&
      Object.keys(value).every((name) => !(name in present))
    ) {
      merged[key] = { ...present, ...value };
    } else if (!areSame(present, value)) return undefined;
  }
  return merged;
}

function resolve(root: Schema, reference: string): Schema | undefined {
  if (!reference.startsWith('#/')) return undefined;
  let target: unknown = root;
  for (const part of reference.slice(2).split('/')) {
    const key = decodeURIComponent(part).replaceAll('~1', '/').replaceAll('~0', '~');
    target = isSchema(target) && Object.hasOwn(target, key) ? target[key] : undefined;
  }
  return isSchema(target) ? target : undefined;
}

function isSchema(value: unknown): value is Schema {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
