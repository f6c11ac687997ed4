import { asciiBytes, concatBytes } from '../bytes.ts';
import { CipherState } from './cipher-state.ts';
import { keyBytes, type Primitives } from './primitives.ts';

/** Chaining key and handshake hash (Noise revision 34, section 5.2). */
export class SymmetricState {
  readonly #primitives: Primitives;
  #chainingKey: Uint8Array;
  #hash: Uint8Array;
  #cipher: CipherState | undefined;

  constructor(primitives: Primitives, protocolName: string) {
    this.#primitives = primitives;
    const name = asciiBytes(protocolName);
    this.#hash =
      name.length <= keyBytes ? concatBytes(name, new Uint8Array(keyBytes - name.length)) : primitives.sha256(name);
    this.#chainingKey = this.#hash;
  }

  /** Of everything both sides have seen; the same on both once the handshake is over. */
  get hash(): Uint8Array {
    return this.#hash;
  }

  /** Parts sent from now on are encrypted, and therefore longer by a tag. */
  get isKeyed(): boolean {
    return this.#cipher !== undefined;
  }

  mixHash(data: Uint8Array): void {
    this.#hash = this.#primitives.sha256(this.#hash, data);
  }

  mixKey(input: Uint8Array): void {
    const [chainingKey, key] = this.#derive(input);
    this.#chainingKey = chainingKey;
    this.#cipher = new CipherState(this.#primitives, key);
  }

  mixKeyAndHash(input: Uint8Array): void {
    const [chainingKey, hash, key] = this.#derive(input);
    this.#chainingKey = chainingKey;
    this.mixHash(hash);
    this.#cipher = new CipherState(this.#primitives, key);
  }

  encryptAndHash(plaintext: Uint8Array): Uint8Array {
    const ciphertext = this.#cipher?.seal(plaintext, this.#hash) ?? plaintext;
    this.mixHash(ciphertext);
    return ciphertext;
  }

  /** `undefined` where it does not open. */
  decryptAndHash(ciphertext: Uint8Array): Uint8Array | undefined {
    const plaintext = this.#cipher === undefined ? ciphertext : this.#cipher.open(ciphertext, this.#hash);
    this.mixHash(ciphertext);
    return plaintext;
  }

  /** Keys of the two directions, the initiator's first. */
  split(): readonly [Uint8Array, Uint8Array] {
    const [first, second] = this.#derive(new Uint8Array(0));
    return [first, second];
  }

  /** HKDF of section 4.3, three outputs. */
  #derive(input: Uint8Array): readonly [Uint8Array, Uint8Array, Uint8Array] {
    const primitives = this.#primitives;
    const secret = primitives.hmacSha256(this.#chainingKey, input);
    const first = primitives.hmacSha256(secret, Uint8Array.of(1));
    const second = primitives.hmacSha256(secret, first, Uint8Array.of(2));
    return [first, second, primitives.hmacSha256(secret, second, Uint8Array.of(3))];
  }
}
