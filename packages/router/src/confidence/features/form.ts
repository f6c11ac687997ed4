import { isJsonObject, type JsonObject, type JsonValue } from '../../core/json.ts';
import { plain, stemsOf } from './words.ts';

/** Whether a value lacks the form that its own declaration shows: "City, State", a date's order, one of the listed words. */
export function isOffForm(name: string, value: JsonValue, schema: JsonObject): boolean {
  const description = typeof schema['description'] === 'string' ? schema['description'] : '';
  if (Array.isArray(value)) {
    const items = isJsonObject(schema['items']) ? schema['items'] : {};
    const declared = { ...items, description: items['description'] ?? description };
    return value.slice(0, maxMembers).some((member) => typeof member === 'string' && isOffForm(name, member, declared));
  }
  if (typeof value !== 'string' || value === '') return false;
  if (/currenc/i.test(name) && value.length > 3) return !/\b(?:name|full)\b/i.test(description);
  if (wantsRegion.test(description)) return !value.includes(',');
  const date = dateForm.exec(description)?.[0];
  if (date !== undefined) return !fitsDate(value, date);
  const choices = describedChoices(description);
  return choices.length > 1 && !choices.includes(plain(value));
}

/** The choices that a description lists after a word such as "options" or "can be", in plain spelling. */
export function describedChoices(description: string): readonly string[] {
  const list = choiceList.exec(description)?.[1];
  if (list === undefined) return [];
  const quoted = Array.from(list.matchAll(/['"‘“]([^'"’”]{1,30})['"’”]/g), (match) => plain(match[1] ?? ''));
  // "etc." and "e.g." leave the list open.
  return /\betc\b|\.\.\.|…/i.test(description) ? [] : quoted;
}

/** Whether the request names a choice of an argument other than the one given; `given` is undefined where it is left out. */
export function namesOtherChoice(
  said: ReadonlyMap<string, number>,
  given: JsonValue | undefined,
  schema: JsonObject,
): boolean {
  const description = typeof schema['description'] === 'string' ? schema['description'] : '';
  const declared = Array.isArray(schema['enum'])
    ? schema['enum'].flatMap((choice) => (typeof choice === 'string' ? plain(choice) : []))
    : describedChoices(description);
  if (declared.length < 2) return false;
  const named = declared.filter((choice) => {
    const words = stemsOf(choice);
    return words.length > 0 && words.every((word) => said.has(word));
  });
  if (named.length === 0) return false;
  const values = Array.isArray(given) ? given : [given];
  const spelled = new Set(values.map((value) => (typeof value === 'string' ? plain(value) : '')));
  return !named.some((choice) => spelled.has(choice));
}

/** A share written as a whole number: the request says "5 %" or "5 percent" and the argument, a number, is 5. */
export function isWholePercent(value: JsonValue, schema: JsonObject, question: string): boolean {
  if (typeof value !== 'number' || schema['type'] !== 'number' || value === 0) return false;
  const description = typeof schema['description'] === 'string' ? schema['description'] : '';
  if (/percent|%/i.test(description)) return false;
  return new RegExp(`(?<![\\d.])${String(value).replace('.', '\\.')}\\s?(?:%|percent)`, 'i').test(question);
}

/** A name that the request continues: "Les Paul" of "Gibson Les Paul", where no argument has the rest. */
export function isCutName(value: JsonValue, question: string, written: string): boolean {
  if (typeof value !== 'string' || !/^\p{Lu}/u.test(value)) return false;
  const at = question.indexOf(value);
  if (at < 0) return false;
  const before = /(\p{Lu}[\p{L}\d]+) $/u.exec(question.slice(Math.max(0, at - 30), at));
  const after = /^ (\p{Lu}[\p{L}\d]+)/u.exec(question.slice(at + value.length, at + value.length + 30));
  const isFirst = before !== null && /(?:^|[.?!]\s)$/.test(question.slice(0, at - before[0].length));
  return (
    (before !== null && !isFirst && !written.includes(plain(before[1] ?? ''))) ||
    (after !== null && !written.includes(plain(after[1] ?? '')))
  );
}

function fitsDate(value: string, form: string): boolean {
  const lower = form.toLowerCase();
  const digits = (part: string): string => `\\d{${part.length === 1 ? '1,2' : part.length}}`;
  const pattern = lower.replaceAll(/[/.]/g, '\\$&').replaceAll(/y+|m+|d+/g, digits);
  return new RegExp(`^${pattern}`).test(value);
}

const wantsRegion =
  /\bcity(?:,| and| &)\s?(?:the )?(?:state|country|region)|\be\.g\.?,?\s*['"(]?\p{Lu}[\p{L} ]+, ?\p{Lu}{2}\b/iu;
const dateForm = /\b(?:y{4}[-/.]m{1,2}[-/.]d{1,2}|m{1,2}[-/.]d{1,2}[-/.]y{2,4}|d{1,2}[-/.]m{1,2}[-/.]y{2,4})\b/i;
const choiceList =
  /\b(?:options?|choices|(?:valid|allowed|supported|possible|accepted) values?|values? (?:include|are)|can be|must be|either|one of)\b[^'"‘“]{0,40}((?:['"‘“][^'"’”]{1,30}['"’”][\s,/]*(?:(?:or|and)\s)?){2,20})/i;
const maxMembers = 20;
