import { isJsonObject, type JsonObject, type JsonValue } from '../../core/json.ts';
import type { Conversation } from './request-view.ts';
import { hasOtherScript, numbersIn, plain, stemsOf } from './words.ts';

/**
 * What an argument rests on: 3 said in the conversation, 2 the default or half of its words said, 1 a choice or a word of
 * its declaration, 0 nothing.
 */
export type Support = 0 | 1 | 2 | 3;

/** The support of an argument; of lists and objects that of their weakest leaf. */
export function supportOf(name: string, value: JsonValue, schema: JsonValue | undefined, said: Conversation): Support {
  return weakest(name, value, isJsonObject(schema) ? schema : {}, said, 0);
}

function weakest(name: string, value: JsonValue, schema: JsonObject, said: Conversation, depth: number): Support {
  if (depth > maxDepth) return 3;
  if (typeof value !== 'object' || value === null) return supportOfLeaf(name, value, schema, said);
  if (isDefault(value, schema)) return 2;
  const properties = isJsonObject(schema['properties']) ? schema['properties'] : {};
  const items = isJsonObject(schema['items']) ? schema['items'] : {};
  const members: readonly Support[] = isJsonObject(value)
    ? Object.entries(value).map(([key, member]) => {
        const declared = properties[key];
        return weakest(key, member, isJsonObject(declared) ? declared : {}, said, depth + 1);
      })
    : value.slice(0, maxMembers).map((member) => {
        const support = weakest(name, member, items, said, depth + 1);
        // A list filled from its declaration rather than from the request is made up.
        return support === 1 ? 0 : support;
      });
  return members.length === 0 ? 1 : members.reduce((least, support) => (support < least ? support : least));
}

function supportOfLeaf(
  name: string,
  value: string | number | boolean | null,
  schema: JsonObject,
  said: Conversation,
): Support {
  if (value === null) return 1;
  if (typeof value === 'boolean') {
    if (stemsOf(name).some((stem) => said.stems.has(stem))) return 3;
    return isDefault(value, schema) ? 2 : 0;
  }
  const isSaid = typeof value === 'number' ? saysNumber(value, said) : sayingOf(value, said);
  if (isSaid === 3) return 3;
  if (isSaid === 2 || isDefault(value, schema)) return 2;
  return isDeclared(value, schema) ? 1 : 0;
}

function saysNumber(value: number, { numbers }: Conversation): Support {
  const size = Math.abs(value);
  return numbers.has(size) || numbers.has(Math.round(size * 1e4) / 100) ? 3 : 0;
}

function sayingOf(value: string, said: Conversation): Support {
  const spelled = plain(value);
  if (spelled === '') return 1;
  if (said.plain.includes(` ${spelled} `) || (spelled.length > 3 && said.plain.includes(spelled))) return 3;
  if (/^\d{4}-\d{1,2}(?:-\d{1,2})?/.test(value)) return saysDate(value, said);
  const stems = stemsOf(value);
  const numbers = [...numbersIn(value)];
  const total = stems.length + numbers.length;
  if (total === 0) return 1;
  const known =
    stems.filter((stem) => said.stems.has(stem)).length + numbers.filter((number) => said.numbers.has(number)).length;
  if (known === total) return 3;
  if (known / total >= 0.5) return 2;
  // Names are written in another script than the question's: nothing can be said of them.
  return said.hasOtherScript && !hasOtherScript(value) && numbers.length === 0 ? 2 : 0;
}

function saysDate(value: string, said: Conversation): Support {
  const [year, month, day] = value.split(/\D/).map(Number);
  const parts = [
    year !== undefined && said.numbers.has(year),
    month !== undefined && (said.months.has(month) || said.numbers.has(month)),
    ...(day === undefined || !Number.isFinite(day) ? [] : [said.numbers.has(day) || saysOrdinal(day, said)]),
  ];
  const known = parts.filter(Boolean).length;
  return known === parts.length ? 3 : known * 2 >= parts.length ? 2 : 0;
}

function saysOrdinal(day: number, said: Conversation): boolean {
  return ['st', 'nd', 'rd', 'th'].some((ending) => said.plain.includes(` ${day}${ending} `));
}

function isDefault(value: JsonValue, schema: JsonObject): boolean {
  const declared = schema['default'];
  if (declared !== undefined && JSON.stringify(declared) === JSON.stringify(value)) return true;
  const description = schema['description'];
  if (typeof description !== 'string' || typeof value === 'object') return false;
  const described = /\bdefaults?\b(?: value)?(?: is| to| set to|:|=)*([^.;)]{1,60})/i.exec(description)?.[1];
  if (described === undefined) return false;
  if (typeof value === 'number') return numbersIn(described).has(value);
  return plain(String(value)) !== '' && ` ${plain(described)} `.includes(` ${plain(String(value))} `);
}

function isDeclared(value: string | number, schema: JsonObject): boolean {
  const choices = schema['enum'];
  if (Array.isArray(choices) && choices.includes(value)) return true;
  const description = schema['description'];
  if (typeof description !== 'string') return false;
  if (typeof value === 'number') return numbersIn(description).has(value);
  const spelled = plain(value);
  return spelled !== '' && ` ${plain(description)} `.includes(` ${spelled} `);
}

const maxDepth = 6;
const maxMembers = 50;
