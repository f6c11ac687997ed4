import { RequestError } from '../../../core/errors.ts';
import type { JsonObject } from '../../../core/json.ts';
import type { ObjectNode, SchemaNode, SchemaSite, SchemaTree } from './schema-node.ts';
import { readSchema } from './schema-read.ts';
import { writeJsonSchema, writeNativeSchema } from './schema-write.ts';

export type SchemaDialect = 'json' | 'native';

/**
 * Parameters of a tool in the model's dialect; `undefined` where the tool takes none. Never edits the schema.
 * @throws RequestError naming the tool and the path
 */
export function translateParameters(
  schema: JsonObject,
  dialect: SchemaDialect,
  site: SchemaSite,
): JsonObject | undefined {
  const tree = readSchema(schema, site, dialect === 'json' ? 'kept' : 'inlined');
  const root = asObject(tree.root, site);
  return root.properties.length === 0 && !isOpen(root) ? undefined : write({ ...tree, root }, dialect);
}

/**
 * Schema of a structured answer in the model's dialect.
 * @throws RequestError naming the path
 */
export function translateResponseSchema(schema: JsonObject, dialect: SchemaDialect, site: SchemaSite): JsonObject {
  return write(readSchema(schema, site, dialect === 'json' ? 'kept' : 'inlined'), dialect);
}

/** Where the schema of a tool stands in the request. */
export function toolSite(index: number, name: string): SchemaSite {
  return site(`tools[${index}].function.parameters`, `The parameters of tool "${name.slice(0, 64)}"`);
}

/** Where the schema of the answer stands in the request. */
export const responseSite: SchemaSite = site('response_format.json_schema.schema', 'The schema of response_format');

function site(param: string, subject: string): SchemaSite {
  return {
    fault(path, what) {
      const inner = path.replace(/^\./, '').slice(0, 200);
      const where = inner === '' ? subject : `${subject} at "${inner}"`;
      return new RequestError(`${where} cannot be used: it ${what}. Correct the schema.`, {
        param: inner === '' ? param : `${param}.${inner}`,
        code: 'invalid_schema',
      });
    },
  };
}

function write(tree: SchemaTree, dialect: SchemaDialect): JsonObject {
  return dialect === 'json' ? writeJsonSchema(tree) : writeNativeSchema(tree);
}

/** Arguments are one object: a choice between objects becomes an object with the members of all. */
function asObject(root: SchemaNode, at: SchemaSite): ObjectNode {
  if (root.type === 'any') return { type: 'object', properties: [], required: [] };
  if (root.type === 'object') return { ...root, nullable: false };
  if (root.type !== 'union') throw at.fault('', 'must describe an object');
  const members = root.members.map((member) => asObject(member, at));
  const properties = new Map(members.flatMap((member) => member.properties));
  const [first, ...others] = members;
  const required = (first?.required ?? []).filter((name) => others.every((member) => member.required.includes(name)));
  return { type: 'object', properties: [...properties], required };
}

/** Without named properties, but not empty either: the tool takes whatever the model gives. */
function isOpen(root: ObjectNode): boolean {
  return root.additionalProperties !== undefined && root.additionalProperties !== false;
}
