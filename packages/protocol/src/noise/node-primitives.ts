import { concatBytes, fromBase64url, packBits } from '../bytes.ts';
import { keyBytes, tagBytes, type Primitives } from './primitives.ts';

/** What is needed of `node:crypto`: handed in, since this package imports nothing of any one platform. */
export interface NodeCrypto<Key extends { export(options: { format: 'jwk' }): { readonly x?: string | undefined } }> {
  randomBytes(size: number): Uint8Array;
  createHash(algorithm: 'sha256'): NodeDigest;
  createHmac(algorithm: 'sha256', key: Uint8Array): NodeDigest;
  createPrivateKey(pem: string): Key;
  createPublicKey(pem: string): Key;
  diffieHellman(keys: { privateKey: NoInfer<Key>; publicKey: NoInfer<Key> }): Uint8Array;
  createCipheriv(
    algorithm: 'chacha20-poly1305',
    key: Uint8Array,
    nonce: Uint8Array,
    options: { authTagLength: number },
  ): NodeCipher & { getAuthTag(): Uint8Array };
  createDecipheriv(
    algorithm: 'chacha20-poly1305',
    key: Uint8Array,
    nonce: Uint8Array,
    options: { authTagLength: number },
  ): NodeCipher & { setAuthTag(tag: Uint8Array): unknown };
}

interface NodeDigest {
  update(bytes: Uint8Array): unknown;
  digest(): Uint8Array;
}

interface NodeCipher {
  setAAD(bytes: Uint8Array, options: { plaintextLength: number }): unknown;
  update(bytes: Uint8Array): Uint8Array;
  final(): Uint8Array;
}

const base64Alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
/** DER before the 32 bytes of a key (RFC 8410). */
const privateKeyHead = Uint8Array.of(0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 4, 0x22, 4, 0x20);
const publicKeyHead = Uint8Array.of(0x30, 0x2a, 0x30, 5, 6, 3, 0x2b, 0x65, 0x6e, 3, 0x21, 0);
const cipher = 'chacha20-poly1305';
const cipherOptions = { authTagLength: tagBytes };

/**
 * Primitives by OpenSSL: `nodePrimitives(crypto)` with `import * as crypto from 'node:crypto'`. An X25519 with the import
 * of its keys takes about 0.2 ms where `noblePrimitives` takes 3.
 */
export function nodePrimitives<Key extends { export(options: { format: 'jwk' }): { readonly x?: string | undefined } }>(
  crypto: NodeCrypto<Key>,
): Primitives {
  const privateKey = (secret: Uint8Array): Key =>
    crypto.createPrivateKey(pem('PRIVATE KEY', privateKeyHead, checkedKey(secret)));
  return {
    random: (length) => plain(crypto.randomBytes(length)),
    sha256: (...parts) => digest(crypto.createHash('sha256'), parts),
    hmacSha256: (key, ...parts) => digest(crypto.createHmac('sha256', key), parts),
    publicKey(secret) {
      const { x } = privateKey(secret).export({ format: 'jwk' });
      return checkedKey(fromBase64url(x ?? '') ?? new Uint8Array(0));
    },
    sharedSecret(secret, publicKey) {
      const other = crypto.createPublicKey(pem('PUBLIC KEY', publicKeyHead, checkedKey(publicKey)));
      return plain(crypto.diffieHellman({ privateKey: privateKey(secret), publicKey: other }));
    },
    seal(key, nonce, associatedData, plaintext) {
      const sealing = crypto.createCipheriv(cipher, key, nonce, cipherOptions);
      sealing.setAAD(associatedData, { plaintextLength: plaintext.length });
      const text = sealing.update(plaintext);
      return concatBytes(text, sealing.final(), sealing.getAuthTag());
    },
    open(key, nonce, associatedData, ciphertext) {
      if (ciphertext.length < tagBytes) return undefined;
      const length = ciphertext.length - tagBytes;
      const opening = crypto.createDecipheriv(cipher, key, nonce, cipherOptions);
      opening.setAAD(associatedData, { plaintextLength: length });
      opening.setAuthTag(ciphertext.subarray(length));
      const text = opening.update(ciphertext.subarray(0, length));
      try {
        opening.final();
      } catch {
        return undefined;
      }
      return plain(text);
    },
  };
}

function digest(hash: NodeDigest, parts: readonly Uint8Array[]): Uint8Array {
  for (const part of parts) hash.update(part);
  return plain(hash.digest());
}

/** The same memory as a plain array: a `Buffer` differs in what `slice` and `toString` do. */
function plain(bytes: Uint8Array): Uint8Array {
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.length);
}

function checkedKey(key: Uint8Array): Uint8Array {
  if (key.length !== keyBytes) throw new RangeError(`A key has ${keyBytes} bytes, not ${key.length}.`);
  return key;
}

function pem(label: string, head: Uint8Array, key: Uint8Array): string {
  const body = packBits(concatBytes(head, key), 6, base64Alphabet);
  return `-----BEGIN ${label}-----\n${body.padEnd(Math.ceil(body.length / 4) * 4, '=')}\n-----END ${label}-----\n`;
}
