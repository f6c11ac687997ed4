import type { Carrier } from './carrier.ts';
import { encodeFrame, FrameDecoder, FrameError, handshakeFrameBytes } from './frame.ts';

/**
 * Moves whole payloads both ways in order. Encryption is a channel around a channel; a WebSocket (one message, one
 * payload) is one by itself.
 */
export interface Channel {
  /** Queues a payload; false asks the sender to hold what can wait until `onDrain`. Does nothing once closed. */
  send(payload: Uint8Array): boolean;
  /** Largest payload accepted from now on. */
  limit(bytes: number): void;
  /** Starts delivery; called once. */
  listen(listener: ChannelListener): void;
  /** Ends it, after what was sent unless `now`; `reason` reaches our own `onClose`, not the peer. Idempotent. */
  close(reason: string, now?: boolean): void;
}

export interface ChannelListener {
  readonly onPayload: (payload: Uint8Array) => void;
  readonly onDrain: () => void;
  /**
   * The peer sent what cannot be read; nothing more is delivered. Whoever hears it says so and closes; unheard, the
   * channel closes itself without a word.
   */
  readonly onFault?: (code: string) => void;
  /** Once, and last: a short code of ours, or `carrier_closed` when the other side went. */
  readonly onClose: (reason: string) => void;
}

/** Payloads as frames on a carrier. Starts with the limit that holds before a handshake. */
export function framedChannel(carrier: Carrier, limitBytes: number = handshakeFrameBytes): Channel {
  const decoder = new FrameDecoder(limitBytes);
  let closed: string | undefined;
  let isBroken = false;
  const close = (reason: string, now = false): void => {
    if (closed !== undefined && !now) return;
    closed ??= reason;
    carrier.close(now);
  };
  return {
    send: (payload) => closed === undefined && carrier.write(encodeFrame(payload)),
    limit(bytes) {
      decoder.limitBytes = bytes;
    },
    listen({ onPayload, onDrain, onFault = close, onClose }) {
      carrier.listen({
        onData(bytes) {
          if (closed !== undefined || isBroken) return;
          try {
            // A payload may lead its receiver to close: what follows it in the same bytes is then not delivered.
            decoder.push(bytes, (payload) => closed === undefined && !isBroken && onPayload(payload));
          } catch (error) {
            if (!(error instanceof FrameError)) throw error;
            isBroken = true;
            onFault(error.code);
          }
        },
        onDrain,
        onClose: () => onClose((closed ??= 'carrier_closed')),
      });
    },
    close,
  };
}
