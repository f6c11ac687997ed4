import { createHash } from 'node:crypto';
import type { Journal } from '../../../core/journal.ts';
import { isJsonObject, parseJson } from '../../../core/json.ts';

/** A tool call as a provider signed it; found again by its id, or by its name and arguments when the id was lost. */
export interface SignedCall {
  /** Compared without its characters outside [A-Za-z0-9]: agents rewrite ids. */
  readonly id: string;
  readonly name: string;
  /** JSON text; key order and white space do not matter. */
  readonly arguments: string;
}

/**
 * Opaque provider state of tool calls, kept for clients that drop unknown fields. Synchronous: read while a request is
 * being translated. Entries of one client key are never seen by another.
 */
export interface SignatureStore {
  /** Settles once those of an earlier run are at hand, or will not be; absent when there is nothing to wait for. */
  readonly restoring?: Promise<void> | undefined;
  /** `by: 'id'` skips the dearer search by name and arguments. */
  get(clientKey: string | undefined, call: SignedCall, by?: 'id' | 'any'): string | undefined;
  put(clientKey: string | undefined, call: SignedCall, signature: string): void;
  /** Reads those that another router may have kept; `undefined` where there is nothing to wait for. Never rejects. */
  fetch?(clientKey: string | undefined, calls: readonly SignedCall[]): Promise<void> | undefined;
}

export interface SignatureLimits {
  readonly entries: number;
  /** Characters of all signatures together. */
  readonly characters: number;
}

/** Calls of one request that are looked up, the latest. */
const mostFetched = 64;

/** About 5,000 calls of the largest signatures seen. */
export const defaultSignatureLimits: SignatureLimits = { entries: 20_000, characters: 32 * 1024 * 1024 };

/** Keeps the most recently used signatures in memory, and in a journal where there is one. */
export class BoundedSignatureStore implements SignatureStore {
  readonly #limits: SignatureLimits;
  readonly #journal: Journal | undefined;
  /** Least recently used first. */
  readonly #entries = new Map<string, string>();
  #characters = 0;
  #restoring: Promise<void> | undefined;

  constructor(limits: SignatureLimits = defaultSignatureLimits, journal?: Journal) {
    this.#limits = limits;
    this.#journal = journal;
  }

  get size(): number {
    return this.#entries.size;
  }

  get restoring(): Promise<void> | undefined {
    return this.#restoring;
  }

  /** Takes in what the journal holds; entries put meanwhile win. Rejects when it cannot be read. */
  restore(): Promise<void> {
    const restored = this.#load();
    const settle = (): void => (this.#restoring = undefined);
    this.#restoring = restored.then(settle, settle);
    return restored;
  }

  async #load(): Promise<void> {
    for (const { key, value } of (await this.#journal?.load()) ?? []) {
      if (!this.#entries.has(key)) this.#remember(key, value);
    }
  }

  get(clientKey: string | undefined, call: SignedCall, by: 'id' | 'any' = 'any'): string | undefined {
    const found = this.#touch(idKey(clientKey, call.id));
    if (found !== undefined || by === 'id') return found;
    return this.#touch(contentKey(clientKey, call));
  }

  put(clientKey: string | undefined, call: SignedCall, signature: string): void {
    for (const key of [idKey(clientKey, call.id), contentKey(clientKey, call)]) {
      this.#remember(key, signature);
      this.#journal?.append({ key, value: signature });
    }
  }

  fetch(clientKey: string | undefined, calls: readonly SignedCall[]): Promise<void> | undefined {
    const find = this.#journal?.find;
    if (find === undefined) return undefined;
    const keys = calls.slice(-mostFetched).flatMap((call) => {
      const both = [idKey(clientKey, call.id), contentKey(clientKey, call)];
      return both.some((key) => this.#entries.has(key)) ? [] : both;
    });
    return keys.length === 0 ? undefined : this.#fetch(find, keys);
  }

  async #fetch(find: NonNullable<Journal['find']>, keys: readonly string[]): Promise<void> {
    try {
      for (const { key, value } of await find(keys)) this.#remember(key, value);
    } catch {
      // Without them a call goes as one whose signature is lost.
    }
  }

  #touch(key: string): string | undefined {
    const signature = this.#entries.get(key);
    if (signature === undefined) return undefined;
    this.#entries.delete(key);
    this.#entries.set(key, signature);
    return signature;
  }

  #remember(key: string, signature: string): void {
    this.#forget(key);
    this.#entries.set(key, signature);
    this.#characters += signature.length;
    for (const oldest of this.#entries.keys()) {
      if (this.#entries.size <= this.#limits.entries && this.#characters <= this.#limits.characters) break;
      this.#forget(oldest);
    }
  }

  #forget(key: string): void {
    this.#characters -= this.#entries.get(key)?.length ?? 0;
    this.#entries.delete(key);
  }
}

function idKey(clientKey: string | undefined, id: string): string {
  return digest('id', clientKey, id.replaceAll(/[^A-Za-z0-9]/g, ''));
}

function contentKey(clientKey: string | undefined, call: SignedCall): string {
  return digest('call', clientKey, call.name, canonicalJson(call.arguments));
}

/** The parts are joined unambiguously, so that no key can be made to look like another client's. */
function digest(...parts: readonly (string | undefined)[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('base64url');
}

function canonicalJson(text: string): string {
  const value = parseJson(text);
  if (value === undefined) return text;
  return JSON.stringify(value, (_, inner: unknown) =>
    isJsonObject(inner)
      ? Object.fromEntries(Object.entries(inner).toSorted(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)))
      : inner,
  );
}
