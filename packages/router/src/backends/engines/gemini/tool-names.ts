import { createHash } from 'node:crypto';

/** What Gemini takes for a function name. */
const nativeName = /^[A-Za-z_][A-Za-z0-9_.:-]{0,63}$/;

/** Maps the client's tool names one to one to names Gemini takes, and back; the same name always maps alike. */
export class ToolNames {
  readonly #toNative = new Map<string, string>();
  readonly #toClient = new Map<string, string>();

  /** `declared` keep their names where Gemini takes them. */
  constructor(declared: readonly string[]) {
    for (const name of declared) if (nativeName.test(name)) this.#pair(name, name);
    for (const name of declared) this.native(name);
  }

  native(name: string): string {
    const known = this.#toNative.get(name);
    if (known !== undefined) return known;
    let mapped = nativeName.test(name) ? name : rename(name, 0);
    for (let round = 1; this.#toClient.has(mapped); round++) mapped = rename(name, round);
    this.#pair(name, mapped);
    return mapped;
  }

  /** A name the model made up comes back as it is. */
  client(native: string): string {
    return this.#toClient.get(native) ?? native;
  }

  #pair(name: string, native: string): void {
    this.#toNative.set(name, native);
    this.#toClient.set(native, name);
  }
}

function rename(name: string, round: number): string {
  const digest = createHash('sha256').update(`${round}:${name}`).digest('hex').slice(0, 10);
  const readable = name.replaceAll(/[^A-Za-z0-9_.:-]/g, '_').slice(0, 50);
  return `${/^[A-Za-z_]/.test(readable) ? '' : '_'}${readable}_${digest}`;
}
