/**
 * Index after the object or array that opens at `start`, or undefined while it is not closed. Looks at brackets and
 * strings alone, so it also measures JSON that needs repair.
 */
export function jsonExtent(text: string, start: number): number | undefined {
  let depth = 0;
  let quoted = false;
  for (let index = start; index < text.length; index += 1) {
    const char = text[index];
    if (quoted) {
      if (char === '\\') index += 1;
      else if (char === '"') quoted = false;
    } else if (char === '"') quoted = true;
    else if (char === '{' || char === '[') depth += 1;
    else if (char === '}' || char === ']') {
      depth -= 1;
      if (depth === 0) return index + 1;
    }
  }
  return undefined;
}

/** Whether position `at` lies inside a string of the JSON that begins at `start`. */
export function isQuoted(text: string, start: number, at: number): boolean {
  let quoted = false;
  for (let index = start; index < at; index += 1) {
    if (quoted && text[index] === '\\') index += 1;
    else if (text[index] === '"') quoted = !quoted;
  }
  return quoted;
}

/** Source text of a top-level member of valid JSON that is an object or array; keeps numbers no double can hold. */
export function memberSource(json: string, key: string): string | undefined {
  const quotedKey = JSON.stringify(key);
  for (let index = 1; index < json.length; index += 1) {
    const char = json[index];
    if (char === '{' || char === '[') {
      index = (jsonExtent(json, index) ?? json.length) - 1;
    } else if (char === '"') {
      const end = stringEnd(json, index);
      const member = json.slice(index, end) === quotedKey ? /^\s*:\s*(?=[{[])/.exec(json.slice(end)) : null;
      if (member !== null) {
        const from = end + member[0].length;
        return json.slice(from, jsonExtent(json, from));
      }
      index = end - 1;
    }
  }
  return undefined;
}

function stringEnd(json: string, start: number): number {
  let index = start + 1;
  while (index < json.length && json[index] !== '"') index += json[index] === '\\' ? 2 : 1;
  return index + 1;
}
