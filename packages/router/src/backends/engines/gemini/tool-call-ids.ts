import { createHash, randomUUID } from 'node:crypto';

/** Ids of one answer towards the client: at most 40 characters of [A-Za-z0-9], because agents rewrite anything else. */
export class ToolCallIds {
  readonly #used = new Set<string>();

  /** Keeps the provider's id as far as it is fit, makes one where there is none or it has been used. */
  next(given: string | undefined): string {
    const id = given === undefined ? '' : fit(given);
    const unique = id === '' || this.#used.has(id) ? randomUUID().replaceAll('-', '') : id;
    this.#used.add(unique);
    return unique;
  }
}

function fit(id: string): string {
  const plain = id.replaceAll(/[^A-Za-z0-9]/g, '');
  return plain.length <= 40 ? plain : createHash('sha256').update(id).digest('hex').slice(0, 40);
}
