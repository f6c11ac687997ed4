import type { JsonObject } from '../../../core/json.ts';
import { isJsonObject, parseJson } from '../../../core/json.ts';

/** A tool's text as the object Gemini wants: an object as it is, errors under `error`, everything else under `output`. */
export function toolResponse(text: string): JsonObject {
  if (/^\s*error\b/i.test(text)) return { error: text };
  const value = /^\s*[[{"\-0-9tfn]/.test(text) ? parseJson(text) : undefined;
  if (isJsonObject(value)) return value;
  // A number that does not survive the reading (an id of 20 digits) stays text.
  const isExact = typeof value !== 'number' || String(value) === text.trim();
  return { output: value === undefined || !isExact ? text : value };
}

/** Stands for a result the client never sent: Gemini wants as many results as calls. */
export const missingResponse: JsonObject = { error: 'The tool gave no result.' };

/** Arguments of a call in a history, as an object whatever the client or a small model made of them. */
export function callArguments(text: string): JsonObject {
  const value = parseJson(text);
  if (isJsonObject(value)) return value;
  const inner = typeof value === 'string' ? parseJson(value) : undefined;
  return isJsonObject(inner) ? inner : {};
}
