import type { Primitives } from './primitives.ts';

const noData = new Uint8Array(0);

/** A key and its counter: one direction of a link (Noise revision 34, section 5.1). */
export class CipherState {
  readonly #primitives: Primitives;
  readonly #key: Uint8Array;
  #counter = 0;

  constructor(primitives: Primitives, key: Uint8Array) {
    this.#primitives = primitives;
    this.#key = key;
  }

  seal(plaintext: Uint8Array, associatedData: Uint8Array = noData): Uint8Array {
    return this.#primitives.seal(this.#key, this.#nonce(), associatedData, plaintext);
  }

  /** `undefined` where it does not open: the state is of no further use then. */
  open(ciphertext: Uint8Array, associatedData: Uint8Array = noData): Uint8Array | undefined {
    return this.#primitives.open(this.#key, this.#nonce(), associatedData, ciphertext);
  }

  /** Four zero bytes and the counter, little-endian. 2^53 messages are not reached in a lifetime. */
  #nonce(): Uint8Array {
    const nonce = new Uint8Array(12);
    const view = new DataView(nonce.buffer);
    view.setUint32(4, this.#counter % 2 ** 32, true);
    view.setUint32(8, Math.floor(this.#counter / 2 ** 32), true);
    this.#counter++;
    return nonce;
  }
}
