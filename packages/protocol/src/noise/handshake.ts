import { concatBytes, equalBytes } from '../bytes.ts';
import { HandshakeError, HandshakeState, type TransportKeys } from './handshake-state.ts';
import { patternOf, prologueOf, readOpening, readRefusal, refusalPayload } from './handshake-wire.ts';
import type { RefusalCode, Role } from './handshake-wire.ts';
import type { KeyPair, Primitives } from './primitives.ts';

/** Who is at the other end of a finished handshake, and the keys of the link to it. */
export interface Secured {
  readonly peerKey: Uint8Array;
  readonly keys: TransportKeys;
  /** Both sides have the same. */
  readonly hash: Uint8Array;
  /** Of the pairing whose secret the dialler had; absent where it was known. */
  readonly pairing?: string;
}

/** What a side does after a payload of the other. */
export type HandshakeStep =
  | { readonly kind: 'send'; readonly payload: Uint8Array }
  /** The peer's key is proven: keep it, then `confirm`. */
  | { readonly kind: 'confirm'; readonly peerKey: Uint8Array }
  | { readonly kind: 'secured'; readonly payload?: Uint8Array; readonly secured: Secured }
  /** The peer refused. */
  | { readonly kind: 'refused'; readonly code: RefusalCode }
  /** We refuse: send the payload and close. A guess is a pairing tried with a wrong secret. */
  | { readonly kind: 'refuse'; readonly code: RefusalCode; readonly payload: Uint8Array; readonly isGuess: boolean }
  /** Close without a word. */
  | { readonly kind: 'close'; readonly code: 'handshake_failed' | 'wrong_key' | 'foreign' };

export type HandshakeTarget =
  | {
      readonly purpose: 'pair';
      readonly psk: Uint8Array;
      /** As shown with the code; another key at the other end is left without a word. */
      readonly expectedKey?: Uint8Array;
    }
  | { readonly purpose: 'known'; readonly peerKey: Uint8Array };

/** One side of a handshake without its I/O. */
export interface HandshakeSide {
  /** What is sent unasked: the dialler's first payload. */
  start(): Uint8Array | undefined;
  /** Takes the next payload of the other side; never throws because of it. */
  receive(payload: Uint8Array): HandshakeStep;
  /** After `confirm`. */
  confirm(): HandshakeStep;
}

interface DialOptions {
  readonly primitives: Primitives;
  readonly role: Role;
  readonly keys: KeyPair;
  readonly target: HandshakeTarget;
}

/** The side that dials. */
export function dialHandshake({ primitives, role, keys, target }: DialOptions): HandshakeSide {
  const prologue = prologueOf(role, target.purpose);
  const state = new HandshakeState({
    primitives,
    pattern: patternOf[target.purpose],
    isInitiator: true,
    prologue,
    keys,
    ...(target.purpose === 'pair' ? { psk: target.psk } : { remoteKey: target.peerKey }),
  });
  return {
    start: () => concatBytes(prologue, state.write()),
    receive: (payload) =>
      guarded(() => {
        const refused = readRefusal(payload);
        if (refused !== undefined) return { kind: 'refused', code: refused };
        state.read(payload);
        if (target.purpose === 'known') return { kind: 'secured', secured: securedBy(state) };
        const peerKey = keyOf(state);
        const { expectedKey } = target;
        if (expectedKey !== undefined && !equalBytes(expectedKey, peerKey)) return { kind: 'close', code: 'wrong_key' };
        return { kind: 'confirm', peerKey };
      }),
    confirm: () => guarded(() => ({ kind: 'secured', payload: state.write(), secured: securedBy(state) })),
  };
}

interface AnswerOptions {
  readonly primitives: Primitives;
  readonly role: Role;
  readonly keys: KeyPair;
  /** Pairings open now. */
  readonly pairings: () => readonly { readonly id: string; readonly psk: Uint8Array }[];
  readonly isKnown: (peerKey: Uint8Array) => boolean;
}

/** The side that was dialled. */
export function answerHandshake(options: AnswerOptions): HandshakeSide {
  let pairing: { readonly state: HandshakeState; readonly id: string } | undefined;
  return {
    start: () => undefined,
    receive: (payload) =>
      guarded(
        () => {
          if (pairing === undefined) return open(payload);
          pairing.state.read(payload);
          return { kind: 'secured', secured: { ...securedBy(pairing.state), pairing: pairing.id } };
        },
        () => refuse('handshake_failed'),
      ),
    confirm: () => ({ kind: 'close', code: 'handshake_failed' }),
  };

  function open(payload: Uint8Array): HandshakeStep {
    const opening = readOpening(payload, options.role);
    if (opening.kind === 'foreign') return { kind: 'close', code: 'foreign' };
    if (opening.kind === 'refused') return refuse(opening.code);
    const { purpose, prologue, message } = opening;
    const { primitives, keys } = options;
    const init = { primitives, keys, prologue, isInitiator: false, pattern: patternOf[purpose] } as const;
    if (purpose === 'known') {
      const state = new HandshakeState(init);
      state.read(message);
      if (!options.isKnown(keyOf(state))) return refuse('unknown_key');
      return { kind: 'secured', payload: state.write(), secured: securedBy(state) };
    }
    const pairings = options.pairings();
    for (const { id, psk } of pairings) {
      const state = new HandshakeState({ ...init, psk });
      if (!opens(state, message)) continue;
      pairing = { state, id };
      return { kind: 'send', payload: state.write() };
    }
    return refuse('pairing_refused', pairings.length > 0);
  }
}

function opens(state: HandshakeState, message: Uint8Array): boolean {
  try {
    state.read(message);
    return true;
  } catch (error) {
    if (error instanceof HandshakeError) return false;
    throw error;
  }
}

function refuse(code: RefusalCode, isGuess = false): HandshakeStep {
  return { kind: 'refuse', code, payload: refusalPayload(code), isGuess };
}

function guarded(
  step: () => HandshakeStep,
  onFailure: () => HandshakeStep = () => ({ kind: 'close', code: 'handshake_failed' }),
): HandshakeStep {
  try {
    return step();
  } catch (error) {
    if (error instanceof HandshakeError) return onFailure();
    throw error;
  }
}

function keyOf(state: HandshakeState): Uint8Array {
  const key = state.remoteKey;
  if (key === undefined) throw new HandshakeError('The peer has shown no key.');
  return key;
}

/** A finished state's; called after its last message, whichever side had it. */
function securedBy(state: HandshakeState): Secured {
  return { peerKey: keyOf(state), keys: state.split(), hash: state.hash };
}
