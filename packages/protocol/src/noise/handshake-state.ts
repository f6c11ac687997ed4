import { concatBytes } from '../bytes.ts';
import { keyBytes, keyPair, tagBytes, type KeyPair, type Primitives } from './primitives.ts';
import { SymmetricState } from './symmetric-state.ts';

type Token = 'e' | 's' | 'ee' | 'es' | 'se' | 'ss' | 'psk';

/** Patterns of Noise revision 34, sections 7.5 and 9.4. */
const patterns = {
  XXpsk0: [
    ['psk', 'e'],
    ['e', 'ee', 's', 'es'],
    ['s', 'se'],
  ],
  IK: [
    ['e', 'es', 's', 'ss'],
    ['e', 'ee', 'se'],
  ],
} as const satisfies Readonly<Record<string, readonly (readonly Token[])[]>>;

export type PatternName = keyof typeof patterns;

/** A handshake message that cannot be what the peer should have sent. The handshake is of no further use. */
export class HandshakeError extends Error {
  override readonly name = 'HandshakeError';
  readonly code = 'handshake_failed';
}

export interface HandshakeInit {
  readonly primitives: Primitives;
  readonly pattern: PatternName;
  readonly isInitiator: boolean;
  /** Bound into the handshake: both sides must have the same. */
  readonly prologue: Uint8Array;
  readonly keys: KeyPair;
  /** XXpsk0: 32 bytes both sides have. */
  readonly psk?: Uint8Array;
  /** IK, initiator: the key of the responder. */
  readonly remoteKey?: Uint8Array;
}

/** Keys of a link's two directions, as one side uses them. */
export interface TransportKeys {
  readonly send: Uint8Array;
  readonly receive: Uint8Array;
}

/** One side of a Noise handshake with empty payloads: `write` and `read` take turns until `isOver`. */
export class HandshakeState {
  readonly #init: HandshakeInit;
  readonly #symmetric: SymmetricState;
  #step = 0;
  #ephemeral: KeyPair | undefined;
  #remoteEphemeral: Uint8Array | undefined;
  #remoteKey: Uint8Array | undefined;

  constructor(init: HandshakeInit) {
    this.#init = init;
    this.#symmetric = new SymmetricState(init.primitives, `Noise_${init.pattern}_25519_ChaChaPoly_SHA256`);
    this.#symmetric.mixHash(init.prologue);
    this.#remoteKey = init.remoteKey;
    if (init.pattern === 'IK') this.#symmetric.mixHash(init.isInitiator ? known(init.remoteKey) : init.keys.public);
  }

  get isOver(): boolean {
    return this.#step === patterns[this.#init.pattern].length;
  }

  /** The peer's static key, once it has been read and proven. */
  get remoteKey(): Uint8Array | undefined {
    return this.#remoteKey;
  }

  get hash(): Uint8Array {
    return this.#symmetric.hash;
  }

  /** Our next message. */
  write(): Uint8Array {
    const parts: Uint8Array[] = [];
    for (const token of this.#tokens()) {
      if (token === 'e') {
        this.#ephemeral = keyPair(this.#init.primitives);
        parts.push(this.#ephemeral.public);
        this.#mixEphemeral(this.#ephemeral.public);
      } else if (token === 's') parts.push(this.#symmetric.encryptAndHash(this.#init.keys.public));
      else this.#mix(token);
    }
    parts.push(this.#symmetric.encryptAndHash(new Uint8Array(0)));
    return concatBytes(...parts);
  }

  /**
   * Takes the peer's next message; a payload in it is ignored.
   * @throws HandshakeError when it is too short, does not open or has a key that cannot be.
   */
  read(message: Uint8Array): void {
    let at = 0;
    const take = (length: number): Uint8Array => {
      if (message.length < at + length) throw new HandshakeError('A handshake message is too short.');
      return message.slice(at, (at += length));
    };
    for (const token of this.#tokens()) {
      if (token === 'e') {
        this.#remoteEphemeral = take(keyBytes);
        this.#mixEphemeral(this.#remoteEphemeral);
      } else if (token === 's')
        this.#remoteKey = this.#decrypt(take(keyBytes + (this.#symmetric.isKeyed ? tagBytes : 0)));
      else this.#mix(token);
    }
    this.#decrypt(message.slice(at));
  }

  /** Keys of the link, once the handshake is over. */
  split(): TransportKeys {
    const [first, second] = this.#symmetric.split();
    return this.#init.isInitiator ? { send: first, receive: second } : { send: second, receive: first };
  }

  #tokens(): readonly Token[] {
    const tokens = patterns[this.#init.pattern][this.#step++];
    if (tokens === undefined) throw new HandshakeError('The handshake is over.');
    return tokens;
  }

  #decrypt(ciphertext: Uint8Array): Uint8Array {
    const plaintext = this.#symmetric.decryptAndHash(ciphertext);
    if (plaintext === undefined) throw new HandshakeError('A handshake message does not open.');
    return plaintext;
  }

  #mixEphemeral(publicKey: Uint8Array): void {
    this.#symmetric.mixHash(publicKey);
    if (this.#init.pattern === 'XXpsk0') this.#symmetric.mixKey(publicKey);
  }

  #mix(token: Exclude<Token, 'e' | 's'>): void {
    const { isInitiator, keys, psk } = this.#init;
    const ephemeral = this.#ephemeral;
    switch (token) {
      case 'psk':
        return this.#symmetric.mixKeyAndHash(known(psk));
      case 'ee':
        return this.#mixShared(ephemeral, this.#remoteEphemeral);
      case 'es':
        return isInitiator ? this.#mixShared(ephemeral, this.#remoteKey) : this.#mixShared(keys, this.#remoteEphemeral);
      case 'se':
        return isInitiator ? this.#mixShared(keys, this.#remoteEphemeral) : this.#mixShared(ephemeral, this.#remoteKey);
      case 'ss':
        return this.#mixShared(keys, this.#remoteKey);
    }
  }

  #mixShared(ours: KeyPair | undefined, theirs: Uint8Array | undefined): void {
    let shared: Uint8Array;
    try {
      shared = this.#init.primitives.sharedSecret(known(ours).secret, known(theirs));
    } catch (error) {
      throw new HandshakeError('A public key of the peer cannot be.', { cause: error });
    }
    this.#symmetric.mixKey(shared);
  }
}

function known<T>(value: T | undefined): T {
  if (value === undefined) throw new HandshakeError('A key that the handshake needs is missing.');
  return value;
}
