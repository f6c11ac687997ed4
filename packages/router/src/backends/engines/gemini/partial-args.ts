import type { JsonObject, JsonValue } from '../../../core/json.ts';
import type { PartialArg } from './wire.ts';

type Building = string | number | boolean | null | Building[] | Map<string, Building>;

/** More items than this in one array are no arguments but a fault. */
const maxIndex = 100_000;

/** Arguments of a call that arrive member by member, each at its JSON path (`$.items[0].name`). */
export class PartialArguments {
  readonly #root = new Map<string, Building>();

  /** A string that already stands at the path is continued. */
  add(partial: PartialArg): void {
    const path = readPath(partial.jsonPath);
    const value = valueOf(partial);
    const last = path.pop();
    if (last === undefined || value === undefined) return;
    let place: Building[] | Map<string, Building> = this.#root;
    for (const [index, step] of path.entries()) {
      const next = child(place, step, typeof (path[index + 1] ?? last) === 'number' ? 'array' : 'object');
      if (next === undefined) return;
      place = next;
    }
    const earlier = read(place, last);
    write(place, last, typeof earlier === 'string' && typeof value === 'string' ? earlier + value : value);
  }

  toJson(): JsonObject {
    return Object.fromEntries([...this.#root].map(([name, value]) => [name, finished(value)]));
  }
}

function readPath(path: string): (string | number)[] {
  const steps: (string | number)[] = [];
  for (const [, name, index, quoted] of path.matchAll(/\.([^.[\]]+)|\[(\d{1,6})\]|\[(?:'([^']*)'|"[^"]*")\]/g)) {
    if (index !== undefined) steps.push(Math.min(Number(index), maxIndex));
    else steps.push(name ?? quoted ?? '');
  }
  return steps;
}

function valueOf(partial: PartialArg): string | number | boolean | null | undefined {
  if (partial.stringValue !== undefined) return partial.stringValue;
  return partial.numberValue ?? partial.boolValue ?? (Object.hasOwn(partial, 'nullValue') ? null : undefined);
}

function child(
  place: Building[] | Map<string, Building>,
  step: string | number,
  kind: 'array' | 'object',
): Building[] | Map<string, Building> | undefined {
  const known = read(place, step);
  if (Array.isArray(known) || known instanceof Map) return known;
  if (known !== undefined && known !== null) return undefined;
  const made: Building[] | Map<string, Building> = kind === 'array' ? [] : new Map<string, Building>();
  write(place, step, made);
  return made;
}

function read(place: Building[] | Map<string, Building>, step: string | number): Building | undefined {
  return Array.isArray(place) ? place[Number(step)] : place.get(String(step));
}

/** Arrays have no holes: what was skipped is null. */
function write(place: Building[] | Map<string, Building>, step: string | number, value: Building): void {
  if (!Array.isArray(place)) place.set(String(step), value);
  else if (typeof step === 'number') {
    while (place.length < step) place.push(null);
    place[step] = value;
  }
}

function finished(value: Building): JsonValue {
  if (Array.isArray(value)) return value.map(finished);
  if (!(value instanceof Map)) return value;
  return Object.fromEntries([...value].map(([name, inner]) => [name, finished(inner)]));
}
