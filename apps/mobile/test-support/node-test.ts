/** `node:test` as far as the contract suites of the packages use it, on Jest. */
type Body = (t: { skip(reason: string): void }) => unknown;

const bodyOf = (rest: readonly unknown[]): Body => {
  const body = rest.at(-1);
  if (typeof body !== 'function') throw new TypeError('A test needs a function.');
  return (t) => body(t);
};

export function describe(name: string, ...rest: readonly unknown[]): void {
  globalThis.describe(name, () => void bodyOf(rest)({ skip: refuse }));
}

export function test(name: string, ...rest: readonly unknown[]): void {
  globalThis.test(name, async () => {
    await bodyOf(rest)({ skip: refuse });
  });
}

export const before = (run: () => Promise<void>): void => globalThis.beforeAll(run);
export const after = (run: () => Promise<void>): void => globalThis.afterAll(run);

/** Jest cannot skip a test that has begun; each engine gives what the suite needs. */
function refuse(reason: string): never {
  throw new Error(`skipped: ${reason}`);
}
