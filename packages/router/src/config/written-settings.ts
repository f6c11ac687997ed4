import { isJsonObject } from '../core/json.ts';

/** Dotted names of everything that a file sets, groups left out. */
export function writtenSettings(value: unknown, path = ''): readonly string[] {
  if (!isJsonObject(value)) return path === '' ? [] : [path];
  return Object.entries(value).flatMap(([key, member]) =>
    writtenSettings(member, path === '' ? key : `${path}.${key}`),
  );
}
