import type { RequestError } from '../../../core/errors.ts';

/** A JSON Schema reduced to what Gemini understands, before it is written in one of Gemini's two dialects. */
export type SchemaNode =
  | AnyNode
  | UnionNode
  | ReferenceNode
  | StringNode
  | NumberNode
  | PlainNode
  | ArrayNode
  | ObjectNode;

interface Described {
  readonly title?: string;
  readonly description?: string;
  readonly nullable?: boolean;
}

/** Takes every value. */
export interface AnyNode extends Described {
  readonly type: 'any';
  /** Stands where a recursive schema had to end. */
  readonly isCut?: boolean;
}

/** At least two members, none nullable. */
export interface UnionNode extends Described {
  readonly type: 'union';
  readonly members: readonly SchemaNode[];
}

/** Points to an entry of the schema's definitions. */
export interface ReferenceNode extends Described {
  readonly type: 'reference';
  readonly name: string;
}

export interface StringNode extends Described {
  readonly type: 'string';
  /** Never empty, no empty member. */
  readonly enum?: readonly string[];
  readonly format?: string;
  readonly pattern?: string;
  readonly minLength?: number;
  readonly maxLength?: number;
}

export interface NumberNode extends Described {
  readonly type: 'number' | 'integer';
  readonly format?: string;
  readonly minimum?: number;
  readonly maximum?: number;
}

export interface PlainNode extends Described {
  readonly type: 'boolean' | 'null';
}

export interface ArrayNode extends Described {
  readonly type: 'array';
  readonly items?: SchemaNode;
  readonly prefixItems?: readonly SchemaNode[];
  readonly minItems?: number;
  readonly maxItems?: number;
}

export interface ObjectNode extends Described {
  readonly type: 'object';
  readonly properties: readonly (readonly [name: string, node: SchemaNode])[];
  /** Only names of `properties`. */
  readonly required: readonly string[];
  readonly additionalProperties?: boolean | SchemaNode;
}

/** A schema read whole; definitions exist only for references that were kept. */
export interface SchemaTree {
  readonly root: SchemaNode;
  readonly definitions: readonly (readonly [name: string, node: SchemaNode])[];
}

/** Where a schema stands in the request; makes the 400 that names the tool and the path within its schema. */
export interface SchemaSite {
  fault(path: string, what: string): RequestError;
}
