import type { JsonObject, JsonValue } from '../../../core/json.ts';
import { isJsonObject } from '../../../core/json.ts';
import { mergeSchemas } from './schema-merge.ts';
import type { AnyNode, ArrayNode, ObjectNode, SchemaNode, SchemaSite, SchemaTree } from './schema-node.ts';
import { isCyclic, resolvePointer } from './schema-refs.ts';
import { readNumber, readString } from './schema-scalars.ts';
import { described, inferTypes } from './schema-words.ts';

/** Gemini gives up on far smaller schemas; this only keeps expansion from running away. */
const maxNodes = 5_000;
const maxDepth = 64;

/** How references are treated: kept as `$defs` where Gemini's rules allow it, or always written out. */
export type References = 'kept' | 'inlined';

/** A schema being read around the current one, and whether an optional property lies between. */
interface Frame {
  readonly schema: JsonObject;
  readonly isOptional: boolean;
}

interface Place {
  readonly path: string;
  readonly depth: number;
  /** Still the schema as a whole, where no reference may stand. */
  readonly isRoot: boolean;
  readonly frames: readonly Frame[];
}

/**
 * Reads a JSON Schema. What Gemini has no word for (`not`, `if`, `multipleOf` …) is left out, which only widens it.
 * Recursion is kept where it runs through an optional property, else it ends in a schema that takes every value.
 * @throws RequestError naming the tool and the path for what is no schema, leads nowhere or is too large
 */
export function readSchema(schema: JsonObject, site: SchemaSite, references: References): SchemaTree {
  const reader = new SchemaReader(schema, site, references);
  const root = reader.readRoot();
  return { root, definitions: reader.definitions() };
}

const types: ReadonlySet<string> = new Set(['string', 'number', 'integer', 'boolean', 'null', 'array', 'object']);

class SchemaReader {
  readonly #root: JsonObject;
  readonly #site: SchemaSite;
  readonly #keeps: boolean;
  readonly #names = new Map<JsonObject, string>();
  readonly #cyclic = new Map<JsonObject, boolean>();
  #nodes = 0;

  constructor(root: JsonObject, site: SchemaSite, references: References) {
    this.#root = root;
    this.#site = site;
    this.#keeps = references === 'kept';
  }

  readRoot(): SchemaNode {
    const place: Place = { path: '', depth: 0, isRoot: true, frames: [{ schema: this.#root, isOptional: false }] };
    return this.#read(this.#root, place) ?? { type: 'any' };
  }

  /** Reading one definition may ask for further ones: the map grows while it is walked. */
  definitions(): (readonly [string, SchemaNode])[] {
    const read: (readonly [string, SchemaNode])[] = [];
    for (const [schema, name] of this.#names) {
      const place: Place = { path: `$defs.${name}`, depth: 1, isRoot: true, frames: [{ schema, isOptional: false }] };
      read.push([name, this.#read(schema, place) ?? { type: 'any' }]);
    }
    return read;
  }

  /** `undefined` for a schema that takes no value at all. */
  #read(schema: JsonValue, place: Place): SchemaNode | undefined {
    if (schema === true) return { type: 'any' };
    if (schema === false) return undefined;
    if (!isJsonObject(schema)) throw this.#site.fault(place.path, 'must be a schema: an object or a boolean');
    this.#countNode();
    if (place.depth > maxDepth) throw this.#site.fault(place.path, `is nested deeper than ${maxDepth} levels`);
    if (schema['$ref'] !== undefined) return this.#readReference(schema, schema['$ref'], place);
    if (schema['allOf'] !== undefined) return this.#read(this.#mergeAllOf(schema, place), same(place));
    const node = this.#readPlain(schema, place);
    return node === undefined ? undefined : described(node, schema);
  }

  #countNode(): void {
    if (++this.#nodes > maxNodes) throw this.#site.fault('', 'is too large once its references are written out');
  }

  #readReference(schema: JsonObject, ref: JsonValue, place: Place): SchemaNode | undefined {
    const target = this.#target(ref, place);
    const { $ref: _, $defs: _defs, definitions: _definitions, ...siblings } = schema;
    const open = place.frames.find((frame) => frame.schema === target);
    if (open !== undefined) {
      if (!this.#keeps || !open.isOptional) return cut;
      return described({ type: 'reference', name: this.#nameOf(target, ref) }, schema);
    }
    if (this.#keeps && !place.isRoot && Object.keys(siblings).length === 0 && !this.#isCyclic(target)) {
      return { type: 'reference', name: this.#nameOf(target, ref) };
    }
    return this.#read({ ...target, ...siblings }, enter(same(place), target));
  }

  #target(ref: JsonValue, place: Place): JsonObject {
    const target = typeof ref === 'string' ? resolvePointer(this.#root, ref) : undefined;
    if (target === true) return everything;
    if (isJsonObject(target)) return target;
    throw this.#site.fault(`${place.path}.$ref`, 'does not lead to a schema in this document');
  }

  #isCyclic(target: JsonObject): boolean {
    const known = this.#cyclic.get(target) ?? isCyclic(this.#root, target);
    this.#cyclic.set(target, known);
    return known;
  }

  #nameOf(target: JsonObject, ref: JsonValue): string {
    const known = this.#names.get(target);
    if (known !== undefined) return known;
    const [last] = typeof ref === 'string' ? (/[^/]*$/.exec(ref) ?? []) : [];
    const wish = last?.replaceAll(/[^A-Za-z0-9_]/g, '') || 'root';
    const taken = new Set(this.#names.values());
    let name = wish;
    for (let round = 2; taken.has(name); round++) name = `${wish}${round}`;
    this.#names.set(target, name);
    return name;
  }

  #mergeAllOf(schema: JsonObject, place: Place): JsonObject {
    const { allOf, ...base } = schema;
    let merged: JsonObject = base;
    for (const [index, member] of this.#list(allOf, `${place.path}.allOf`).entries()) {
      const path = `${place.path}.allOf[${index}]`;
      // Members may bring further ones: a reference back to this very list would double it at each level.
      this.#countNode();
      if (typeof member === 'boolean') continue;
      if (!isJsonObject(member)) throw this.#site.fault(path, 'must be a schema: an object or a boolean');
      merged = mergeSchemas(merged, this.#resolved(member, { ...place, path }));
    }
    return merged;
  }

  /** A member with its own references replaced by what they point to; a circle of bare references ends as it is. */
  #resolved(member: JsonObject, place: Place): JsonObject {
    const seen = new Set<JsonObject>();
    let current = member;
    while (current['$ref'] !== undefined) {
      const { $ref, ...siblings } = current;
      const target = this.#target($ref, place);
      if (seen.has(target) || place.frames.some((frame) => frame.schema === target)) return siblings;
      seen.add(target);
      current = { ...target, ...siblings };
    }
    return current;
  }

  #readPlain(schema: JsonObject, place: Place): SchemaNode | undefined {
    const choices = schema['anyOf'] ?? schema['oneOf'];
    if (choices !== undefined && !saysMoreThanChoices(schema)) return this.#readChoices(schema, choices, place);
    const all = this.#typesOf(schema, place);
    const [first, ...others] = all.filter((type) => type !== 'null');
    if (first === undefined) return all.length > 0 ? { type: 'null' } : { type: 'any' };
    const node =
      others.length === 0
        ? this.#readTyped(schema, first, place)
        : union([first, ...others].map((type) => this.#readTyped(schema, type, place)));
    return all.includes('null') ? { ...node, nullable: true } : node;
  }

  #readChoices(schema: JsonObject, choices: JsonValue, place: Place): SchemaNode | undefined {
    const keyword = schema['anyOf'] === undefined ? 'oneOf' : 'anyOf';
    const list = this.#list(choices, `${place.path}.${keyword}`);
    if (list.length === 0) throw this.#site.fault(`${place.path}.${keyword}`, 'must not be empty');
    const read = list.flatMap((choice, index) => {
      const inner = isJsonObject(choice) && schema['type'] !== undefined ? { type: schema['type'], ...choice } : choice;
      return this.#read(inner, same(place, `${place.path}.${keyword}[${index}]`)) ?? [];
    });
    const members = read.filter((node) => node.type !== 'null');
    if (read.length === 0) return undefined;
    if (members.length === 0) return { type: 'null' };
    const isNullable = members.length < read.length || members.some((node) => node.nullable === true);
    const node = union(members);
    return isNullable ? { ...node, nullable: true } : node;
  }

  #typesOf(schema: JsonObject, place: Place): string[] {
    const said = schema['type'];
    if (said === undefined) return inferTypes(schema);
    const list = Array.isArray(said) ? [...new Set(this.#list(said, `${place.path}.type`))] : [said];
    return list.map((type) => {
      if (typeof type === 'string' && types.has(type.toLowerCase())) return type.toLowerCase();
      throw this.#site.fault(`${place.path}.type`, 'is not a JSON Schema type');
    });
  }

  #readTyped(schema: JsonObject, type: string, place: Place): SchemaNode {
    const fault = (keyword: string, what: string): Error => this.#site.fault(`${place.path}.${keyword}`, what);
    if (type === 'object') return this.#readObject(schema, place);
    if (type === 'array') return this.#readArray(schema, place);
    if (type === 'string') return readString(schema, fault);
    if (type === 'boolean') return { type };
    return readNumber(schema, type === 'integer' ? 'integer' : 'number', fault);
  }

  #readArray(schema: JsonObject, place: Place): ArrayNode {
    const tuple = schema['prefixItems'] ?? (Array.isArray(schema['items']) ? schema['items'] : undefined);
    const rest = Array.isArray(schema['items']) ? schema['additionalItems'] : schema['items'];
    const items = rest === undefined ? undefined : this.#read(rest, deeper(place, `${place.path}.items`));
    const prefix = this.#list(tuple ?? [], `${place.path}.prefixItems`).map(
      (item, index) => this.#read(item, deeper(place, `${place.path}.prefixItems[${index}]`)) ?? cut,
    );
    return {
      type: 'array',
      ...(items === undefined ? {} : { items }),
      ...(prefix.length === 0 ? {} : { prefixItems: prefix }),
      ...sizes(schema, 'minItems', 'maxItems'),
    };
  }

  #readObject(schema: JsonObject, place: Place): ObjectNode {
    const given = schema['properties'] ?? {};
    if (!isJsonObject(given)) throw this.#site.fault(`${place.path}.properties`, 'must be an object');
    const names = Array.isArray(schema['required']) ? this.#list(schema['required'], '') : [];
    const required = new Set(names.filter((name) => typeof name === 'string'));
    const properties: [string, SchemaNode][] = [];
    for (const [name, value] of Object.entries(given)) {
      const inner = deeper(place, `${place.path}.properties.${name}`);
      const node = this.#read(value, required.has(name) ? inner : optional(inner));
      const isDroppable = node === undefined || (node.type === 'any' && node.isCut === true && !required.has(name));
      if (!isDroppable) properties.push([name, node]);
    }
    const more = this.#readAdditional(schema, place);
    return {
      type: 'object',
      properties,
      required: properties.map(([name]) => name).filter((name) => required.has(name)),
      ...(more === undefined ? {} : { additionalProperties: more }),
    };
  }

  #readAdditional(schema: JsonObject, place: Place): boolean | SchemaNode | undefined {
    const more = schema['additionalProperties'];
    if (schema['patternProperties'] !== undefined) return true;
    if (more === undefined || typeof more === 'boolean') return more;
    return this.#read(more, optional(deeper(place, `${place.path}.additionalProperties`)));
  }

  #list(value: JsonValue | undefined, path: string): readonly JsonValue[] {
    if (Array.isArray(value)) return value;
    throw this.#site.fault(path, 'must be an array');
  }
}

const cut: AnyNode = { type: 'any', isCut: true };
const everything: JsonObject = {};

function deeper(place: Place, path: string): Place {
  return { ...place, path, depth: place.depth + 1, isRoot: false };
}

/** Another reading of the same value: counts as a level, so that no circle goes unnoticed. */
function same(place: Place, path = place.path): Place {
  return { ...place, path, depth: place.depth + 1 };
}

function optional(place: Place): Place {
  return { ...place, frames: place.frames.map((frame) => (frame.isOptional ? frame : { ...frame, isOptional: true })) };
}

function enter(place: Place, schema: JsonObject): Place {
  return { ...place, frames: [...place.frames, { schema, isOptional: false }] };
}

/** A union of objects with rules of their own is read as its base: Gemini takes no keywords beside `anyOf`. */
function saysMoreThanChoices(schema: JsonObject): boolean {
  return ['properties', 'items', 'enum', 'const'].some((keyword) => schema[keyword] !== undefined);
}

function notNullable(node: SchemaNode): SchemaNode {
  return { ...node, nullable: false };
}

function union(nodes: readonly SchemaNode[]): SchemaNode {
  const flat = nodes.flatMap((node) => (node.type === 'union' ? node.members : [node]));
  const members = flat.map((node) => (node.nullable === true ? notNullable(node) : node));
  const [first, second] = members;
  if (first === undefined) return { type: 'any' };
  if (second === undefined) return first;
  return members.find((node) => node.type === 'any') ?? { type: 'union', members };
}

function sizes(schema: JsonObject, ...keywords: ('minItems' | 'maxItems')[]): { minItems?: number; maxItems?: number } {
  return Object.fromEntries(
    keywords.flatMap((keyword) => (isSize(schema[keyword]) ? [[keyword, schema[keyword]]] : [])),
  );
}

function isSize(value: JsonValue | undefined): value is number {
  return typeof value === 'number' && Number.isSafeInteger(value) && value >= 0;
}
