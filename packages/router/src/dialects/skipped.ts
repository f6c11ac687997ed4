/** Most names in one warning. */
const mostNamed = 8;

/** Kinds of things that a request holds and nobody here reads, named in one warning. */
export class Skipped {
  readonly #names = new Set<string>();
  readonly #warnings: Map<string, string>;
  readonly #param: string;
  readonly #say: (names: string) => string;

  constructor(warnings: Map<string, string>, param: string, say: (names: string) => string) {
    this.#warnings = warnings;
    this.#param = param;
    this.#say = say;
  }

  add(name: string): void {
    this.#names.add(name.slice(0, 64));
    const more = this.#names.size > mostNamed ? ' and others' : '';
    this.#warnings.set(this.#param, this.#say([...this.#names].slice(0, mostNamed).join(', ') + more));
  }
}

/** Tools that only a provider's own servers can run. */
export function skippedTools(warnings: Map<string, string>): Skipped {
  return new Skipped(warnings, 'tools', (names) => `tools of the type ${names} are not offered to the model`);
}
