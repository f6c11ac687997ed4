import type { Channel, ChannelListener } from '../channel.ts';
import type { Clock } from '../clock.ts';
import type { HandshakeSide, HandshakeStep, Secured } from './handshake.ts';
import { readRefusal } from './handshake-wire.ts';
import { noiseChannel } from './noise-channel.ts';
import type { Primitives } from './primitives.ts';

/** A handshake that is not over after this long never will be. */
export const handshakeMs = 5_000;

export interface HandshakeListener {
  /**
   * The peer is proven. Listen to the channel before this returns: its first message may be in the bytes at hand. Throw
   * nothing; close the channel where the peer is not wanted after all.
   */
  onSecured(channel: Channel, secured: Secured): void;
  /** A dialler that pairs: keep the key, for message 3 leaves when this resolves; a rejection ends the link. */
  keepKey?(peerKey: Uint8Array): Promise<void>;
  /** The link is over without having been secured; once, and last. */
  onFailed(failure: HandshakeFailure): void;
}

/** Why a handshake came to nothing. */
export interface HandshakeFailure {
  /** `refused`: the peer said so; `refusal`: we did. */
  readonly by: 'refused' | 'refusal' | 'closed';
  /** A refusal's; else `wrong_key`, `foreign`, `timeout`, `not_kept`, or why the channel closed. */
  readonly code: string;
  /** A pairing was tried with a wrong secret. */
  readonly isGuess: boolean;
}

interface Options {
  readonly channel: Channel;
  readonly primitives: Primitives;
  readonly clock: Clock;
  readonly side: HandshakeSide;
  readonly listener: HandshakeListener;
}

/** Runs one side of a handshake over a channel of frames, whose listener it becomes. Returned: ends it early. */
export function runHandshake({ channel, primitives, clock, side, listener }: Options): (code: string) => void {
  let failure: HandshakeFailure | undefined;
  let secured: ChannelListener | undefined;
  const cancelTimeout = clock.schedule(handshakeMs, () => fail({ by: 'closed', code: 'timeout', isGuess: false }));

  const fail = (why: HandshakeFailure, now = false): void => {
    if (failure !== undefined || secured !== undefined) return;
    failure = why;
    cancelTimeout();
    channel.close(why.code, now);
  };
  const act = (step: HandshakeStep): void => {
    switch (step.kind) {
      case 'send':
        channel.send(step.payload);
        return;
      case 'confirm':
        void (listener.keepKey?.(step.peerKey) ?? Promise.resolve()).then(
          () => failure === undefined && act(side.confirm()),
          () => fail({ by: 'closed', code: 'not_kept', isGuess: false }),
        );
        return;
      case 'secured':
        cancelTimeout();
        if (step.payload !== undefined) channel.send(step.payload);
        listener.onSecured(noiseChannel(handedOver(), primitives, step.secured.keys), step.secured);
        return;
      case 'refused':
        return fail({ by: 'refused', code: step.code, isGuess: false });
      case 'refuse':
        channel.send(step.payload);
        return fail({ by: 'refusal', code: step.code, isGuess: step.isGuess });
      case 'close':
        return fail({ by: 'closed', code: step.code, isGuess: false });
    }
  };
  /** The same channel, whose listener from now on is that of the records. */
  const handedOver = (): Channel => ({
    send: (payload) => channel.send(payload),
    limit: (bytes) => channel.limit(bytes),
    close: (reason, now) => channel.close(reason, now),
    listen(records) {
      let isFirst = true;
      secured = {
        ...records,
        onPayload(payload) {
          // Whoever was dialled may still refuse in place of its first record: the code was used up meanwhile.
          const refused = isFirst ? readRefusal(payload) : undefined;
          isFirst = false;
          if (refused === undefined) records.onPayload(payload);
          else channel.close(refused);
        },
      };
    },
  });

  channel.listen({
    onPayload: (payload) => {
      if (secured !== undefined) secured.onPayload(payload);
      else if (failure === undefined) act(side.receive(payload));
    },
    onDrain: () => secured?.onDrain(),
    onFault(code) {
      if (secured === undefined) fail({ by: 'closed', code, isGuess: false });
      else if (secured.onFault === undefined) channel.close(code);
      else secured.onFault(code);
    },
    onClose(reason) {
      cancelTimeout();
      if (secured !== undefined) secured.onClose(reason);
      else listener.onFailed(failure ?? { by: 'closed', code: reason, isGuess: false });
    },
  });
  const first = side.start();
  if (first !== undefined) channel.send(first);
  return (code) => fail({ by: 'closed', code, isGuess: false }, true);
}
