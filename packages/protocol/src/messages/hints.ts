import * as z from 'zod';

/**
 * Schemas of what a device says that need not be believed. There are two readings of each: the exact one finds what
 * does not fit, the tolerant one cuts it or leaves it out, so that the message stands.
 */
export interface Hints {
  /** At most so many characters, without control and bidirectional ones. */
  readonly text: (max: number) => Hint<string>;
  readonly integer: (min: number, max?: number) => Hint<number>;
  readonly number: (min: number, max?: number) => Hint<number>;
  readonly boolean: () => Hint<boolean>;
  readonly oneOf: <const T extends string>(values: readonly T[]) => Hint<T>;
  /** Anything whose parts fit; absent as a whole where one that it needs does not. */
  readonly whole: <T>(schema: z.ZodType<T>) => Hint<T>;
  /** At most so many items; those that do not fit are left out. Needed: what is no list fails the message. */
  readonly items: <T>(item: z.ZodType<T>, max: number) => z.ZodType<T[]>;
  /** As `items`, and what is no list is absent. */
  readonly list: <T>(item: z.ZodType<T>, max: number) => Hint<T[]>;
  /** What stands in where the value is missing or does not fit. */
  readonly or: <T>(schema: z.ZodType<T>, fallback: T) => z.ZodType<T>;
}

export type Hint<T> = z.ZodOptional<z.ZodType<T | undefined>>;

/** Text for people is shown as text: control characters and those that turn the direction of reading have no place. */
const unwanted = /[\p{Cc}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/gu;

/** Cuts text of a device to so many characters and takes out what could harm a screen. */
export function clipText(text: string, max: number): string {
  const clean = text.replace(unwanted, '');
  return clean.length <= max ? clean : Array.from(clean).slice(0, max).join('');
}

/** Finds everything that does not fit. */
export const exactHints: Hints = {
  text: (max) => optional(z.string().refine((text) => clipText(text, max) === text)),
  integer: (min, max = Number.MAX_SAFE_INTEGER) => optional(z.number().int().min(min).max(max)),
  number: (min, max = Number.MAX_VALUE) => optional(z.number().min(min).max(max)),
  boolean: () => optional(z.boolean()),
  oneOf: (values) => optional(z.enum(values)),
  whole: (schema) => optional(schema),
  items: (item, max) => z.array(item).max(max),
  list: (item, max) => optional(z.array(item).max(max)),
  or: (schema) => schema,
};

/** Takes what fits. */
export const tolerantHints: Hints = {
  text: (max) => tolerant(z.string().transform((text) => clipText(text, max))),
  integer: (min, max = Number.MAX_SAFE_INTEGER) => tolerant(z.number().int().min(min).max(max)),
  number: (min, max = Number.MAX_VALUE) => tolerant(z.number().min(min).max(max)),
  boolean: () => tolerant(z.boolean()),
  oneOf: (values) => tolerant(z.enum(values)),
  whole: (schema) => tolerant(schema),
  items: fitting,
  list: (item, max) => tolerant(fitting(item, max)),
  or: (schema, fallback) => z.unknown().transform((value) => valueOr(schema, value, fallback)),
};

function optional<T>(schema: z.ZodType<T>): Hint<T> {
  return z.optional(schema);
}

function tolerant<T>(schema: z.ZodType<T>): Hint<T> {
  return z.optional(schema.optional().catch(undefined));
}

function fitting<T>(item: z.ZodType<T>, max: number): z.ZodType<T[]> {
  return z.array(z.unknown()).transform((values) => {
    const found: T[] = [];
    for (const value of values) {
      if (found.length === max) break;
      const read = item.safeParse(value);
      if (read.success) found.push(read.data);
    }
    return found;
  });
}

function valueOr<T>(schema: z.ZodType<T>, value: unknown, fallback: T): T {
  const read = schema.safeParse(value);
  return read.success ? read.data : fallback;
}
