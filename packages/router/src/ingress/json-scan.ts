import { isUtf8 } from 'node:buffer';

import { RequestError } from '../core/errors.ts';
import type { JsonValue } from '../core/json.ts';

/** What a JSON body may be made of. */
export interface JsonLimits {
  readonly depth: number;
  /** Members and elements together: what makes parsing slow is their number, not the bytes. */
  readonly values: number;
}

const quote = 0x22;
const backslash = 0x5c;
const comma = 0x2c;
const openBracket = 0x5b;
const closeBracket = 0x5d;
const openBrace = 0x7b;
const closeBrace = 0x7d;
/** A key `__proto__` written plainly, or any ASCII character that could hide one behind an escape. */
const maySpellProto = /__proto__|\\u00[567]/i;

/**
 * Parses a request body that may come from anyone.
 * @throws RequestError (400, no param) for what is empty, not UTF-8, not JSON, too deep, or too many values
 */
export function parseBody(bytes: Buffer, limits: JsonLimits): JsonValue {
  if (bytes.length === 0) throw unreadable('The request body is empty: send a JSON object.');
  if (!isUtf8(bytes)) throw unreadable('The request body is not UTF-8: encode the JSON as UTF-8.');
  const text = bytes.toString('utf8');
  checkShape(text, limits);
  const value = parseText(text);
  if (maySpellProto.test(text) && hasProtoKey(value)) {
    throw unreadable('The request body has a key "__proto__": remove it.');
  }
  return value;
}

/** JSON.parse handles depth 100,000, but nothing after it does; so look before parsing, and stop at the first excess. */
function checkShape(text: string, limits: JsonLimits): void {
  let depth = 0;
  let values = 1;
  for (let i = 0; i < text.length; i++) {
    switch (text.charCodeAt(i)) {
      case quote:
        i = endOfString(text, i);
        break;
      case openBrace:
      case openBracket:
        depth++;
        values++;
        if (depth > limits.depth) throw unreadable(`The request body is nested deeper than ${limits.depth} levels.`);
        break;
      case closeBrace:
      case closeBracket:
        depth--;
        break;
      case comma:
        values++;
        break;
      default:
    }
    if (values > limits.values) throw unreadable(`The request body holds more than ${limits.values} values.`);
  }
}

/** Index of the closing quote, or the text's end. `indexOf` runs at memory speed where the prompt is long. */
function endOfString(text: string, start: number): number {
  for (let from = start + 1; ; ) {
    const end = text.indexOf('"', from);
    if (end === -1) return text.length;
    let escapes = 0;
    while (text.charCodeAt(end - 1 - escapes) === backslash) escapes++;
    if (escapes % 2 === 0) return end;
    from = end + 1;
  }
}

function parseText(text: string): JsonValue {
  try {
    const value: JsonValue = JSON.parse(text);
    return value;
  } catch {
    // The engine's message quotes the body: not for logs, not for clients.
    throw unreadable('The request body is not valid JSON.');
  }
}

function hasProtoKey(value: JsonValue): boolean {
  if (typeof value !== 'object' || value === null) return false;
  if (Object.hasOwn(value, '__proto__')) return true;
  return Object.values(value).some(hasProtoKey);
}

function unreadable(message: string): RequestError {
  return new RequestError(message, { code: 'invalid_json' });
}
