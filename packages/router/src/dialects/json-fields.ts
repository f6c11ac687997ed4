import * as z from 'zod';
import { isJsonObject, type JsonObject } from '../core/json.ts';

/** Every list has a bound, which zod checks first: a hundred thousand complaints take half a second to word. */
export const maxParts = 2048;

/** A JSON object kept by reference: never copied, never edited. */
export const jsonObject = z.custom<JsonObject>(isJsonObject, 'expected an object');
