import { chacha20poly1305 } from '@noble/ciphers/chacha.js';
import { x25519 } from '@noble/curves/ed25519.js';
import { hmac } from '@noble/hashes/hmac.js';
import { sha256 } from '@noble/hashes/sha2.js';
import { tagBytes, type Primitives } from './primitives.ts';

/** Primitives in plain JavaScript, for Hermes and browsers; `random` is the platform's secure source. */
export function noblePrimitives(random: Primitives['random']): Primitives {
  return {
    random,
    sha256(...parts) {
      const hash = sha256.create();
      for (const part of parts) hash.update(part);
      return hash.digest();
    },
    hmacSha256(key, ...parts) {
      const mac = hmac.create(sha256, key);
      for (const part of parts) mac.update(part);
      return mac.digest();
    },
    publicKey: (secret) => x25519.getPublicKey(secret),
    sharedSecret: (secret, publicKey) => x25519.getSharedSecret(secret, publicKey),
    seal: (key, nonce, associatedData, plaintext) => chacha20poly1305(key, nonce, associatedData).encrypt(plaintext),
    open(key, nonce, associatedData, ciphertext) {
      if (ciphertext.length < tagBytes) return undefined;
      try {
        return chacha20poly1305(key, nonce, associatedData).decrypt(ciphertext);
      } catch {
        return undefined;
      }
    },
  };
}
