import { EngineError } from '@lfo/device-core';

/** A schema is a client's text that becomes a program: these bound what compiling it may cost. */
const maxBytes = 64 * 1024;
const maxDepth = 32;
const maxNodes = 4000;

/** @throws EngineError `bad_request` when a schema is too big, too deep or too intricate to compile. */
export function checkSchemaBounds(schema: unknown): void {
  let nodes = 0;
  const pending: Array<{ value: unknown; depth: number }> = [{ value: schema, depth: 0 }];
  for (let next = pending.pop(); next !== undefined; next = pending.pop()) {
    nodes += 1;
    if (next.depth > maxDepth) throw refuse(`is nested deeper than ${maxDepth} levels`);
    if (nodes > maxNodes) throw refuse(`has more than ${maxNodes} parts`);
    if (typeof next.value !== 'object' || next.value === null) continue;
    for (const value of Object.values(next.value)) pending.push({ value, depth: next.depth + 1 });
  }
  if (JSON.stringify(schema).length > maxBytes) throw refuse(`is larger than ${maxBytes} bytes`);
}

function refuse(why: string): EngineError {
  return new EngineError('bad_request', `The JSON schema ${why}; simplify it.`, false);
}
