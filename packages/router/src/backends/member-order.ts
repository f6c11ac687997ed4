/** The same list with those that are named in the order of their names, in the places that they have among the others. */
export function inOrder<T>(list: readonly T[], names: readonly string[], nameOf: (one: T) => string): readonly T[] {
  const rank = new Map(names.map((name, at) => [name, at]));
  const rankOf = (one: T): number => rank.get(nameOf(one)) ?? -1;
  const named = list.filter((one) => rankOf(one) >= 0).toSorted((one, other) => rankOf(one) - rankOf(other));
  return list.map((one) => (rankOf(one) >= 0 ? (named.shift() ?? one) : one));
}
