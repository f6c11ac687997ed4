/** `max_local_tokens` as `maxLocalTokens`. */
export type CamelCase<Key> = Key extends `${infer Head}_${infer Tail}` ? `${Head}${Capitalize<CamelCase<Tail>>}` : Key;

type CamelKeys<T> = { [Key in keyof T as CamelCase<Key>]: T[Key] };

/** The same with keys as the program spells them; values are left alone, since keys inside may be names of the user's. */
export function camelKeys<T extends object>(settings: T): CamelKeys<T>;
export function camelKeys(settings: object): object {
  return Object.fromEntries(Object.entries(settings).map(([key, value]) => [camelCase(key), value]));
}

export function camelCase(key: string): string {
  return key.replaceAll(/_([a-z])/g, (_match, letter: string) => letter.toUpperCase());
}
