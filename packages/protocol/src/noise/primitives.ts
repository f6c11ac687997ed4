/**
 * The cryptography the protocol is built on. Injected, since each platform has its own fastest: `nodePrimitives` in Node,
 * `noblePrimitives` in Hermes and browsers.
 */
export interface Primitives {
  /** Bytes from the platform's secure source. */
  random(length: number): Uint8Array;
  /** SHA-256 of the parts, one after the other. */
  sha256(...parts: readonly Uint8Array[]): Uint8Array;
  /** HMAC-SHA-256 of the parts, one after the other. */
  hmacSha256(key: Uint8Array, ...parts: readonly Uint8Array[]): Uint8Array;
  /** X25519: the public key of 32 secret bytes. */
  publicKey(secret: Uint8Array): Uint8Array;
  /**
   * X25519: the secret two key pairs share.
   * @throws Error for a public key that makes it zero (RFC 7748 §6.1).
   */
  sharedSecret(secret: Uint8Array, publicKey: Uint8Array): Uint8Array;
  /** ChaCha20-Poly1305: the ciphertext and its tag of 16 bytes. */
  seal(key: Uint8Array, nonce: Uint8Array, associatedData: Uint8Array, plaintext: Uint8Array): Uint8Array;
  /** ChaCha20-Poly1305: the plaintext; `undefined` where the tag does not fit. */
  open(key: Uint8Array, nonce: Uint8Array, associatedData: Uint8Array, ciphertext: Uint8Array): Uint8Array | undefined;
}

/** Bytes of a key of any kind here, and of a hash. */
export const keyBytes = 32;
/** What encryption adds to a text. */
export const tagBytes = 16;

/** An X25519 key pair. */
export interface KeyPair {
  readonly secret: Uint8Array;
  readonly public: Uint8Array;
}

/** The key pair of a secret, or a new one. */
export function keyPair(primitives: Primitives, secret: Uint8Array = primitives.random(keyBytes)): KeyPair {
  return { secret, public: primitives.publicKey(secret) };
}
