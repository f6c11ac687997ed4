import type { Channel } from '../channel.ts';
import { concatBytes } from '../bytes.ts';
import { maxFrameBytes } from '../frame.ts';
import { CipherState } from './cipher-state.ts';
import type { TransportKeys } from './handshake-state.ts';
import { tagBytes, type Primitives } from './primitives.ts';

/** Largest frame once the handshake is over: a Noise message. */
export const recordFrameBytes = 65_535;
/** Bytes of a message in a full record: what a Noise message takes less tag and flag. */
export const recordChunkBytes = recordFrameBytes - tagBytes - 1;

const lastFlag = 0;
const moreFlag = 1;

/**
 * A channel of whole messages, each cut into encrypted records, around the channel of their frames. A record that does
 * not open, or is not what the one before it announced, closes it with `bad_frame`.
 */
export function noiseChannel(inner: Channel, primitives: Primitives, keys: TransportKeys): Channel {
  const sending = new CipherState(primitives, keys.send);
  const receiving = new CipherState(primitives, keys.receive);
  const assembly = new MessageAssembly();
  let isClosed = false;
  let isBroken = false;
  const close = (reason: string, now?: boolean): void => {
    isClosed = true;
    inner.close(reason, now);
  };
  inner.limit(recordFrameBytes);
  return {
    send(message) {
      if (isClosed) return false;
      let flows = true;
      let at = 0;
      do {
        const chunk = message.subarray(at, at + recordChunkBytes);
        at += chunk.length;
        const flag = at < message.length ? moreFlag : lastFlag;
        flows = inner.send(sending.seal(concatBytes(Uint8Array.of(flag), chunk)));
      } while (at < message.length);
      return flows;
    },
    limit(bytes) {
      assembly.limitBytes = bytes;
    },
    listen({ onPayload, onDrain, onFault = close, onClose }) {
      const fault = (code: string): void => {
        isBroken = true;
        onFault(code);
      };
      inner.listen({
        onPayload(frame) {
          if (isClosed || isBroken) return;
          const record = receiving.open(frame);
          const taken = record === undefined ? 'bad_frame' : assembly.take(record);
          if (typeof taken === 'string') fault(taken);
          else if (taken !== undefined) onPayload(taken);
        },
        onDrain,
        onFault: fault,
        onClose(reason) {
          isClosed = true;
          onClose(reason);
        },
      });
    },
    close,
  };
}

/** Puts the records of one message together. Holds no more than has arrived, and never more than the limit. */
class MessageAssembly {
  limitBytes = maxFrameBytes;
  #chunks: Uint8Array[] = [];
  #bytes = 0;

  /** The message this record ends, `undefined` while more follow, or the code that closes the link. */
  take(record: Uint8Array): Uint8Array | undefined | 'bad_frame' | 'frame_too_large' {
    const flag = record[0];
    const chunk = record.subarray(1);
    if (flag === moreFlag ? chunk.length !== recordChunkBytes : flag !== lastFlag) return 'bad_frame';
    // A message has one form only: its last record is empty where the message is.
    if (flag === lastFlag && chunk.length === 0 && this.#chunks.length > 0) return 'bad_frame';
    this.#bytes += chunk.length;
    if (this.#bytes > this.limitBytes) return 'frame_too_large';
    if (flag === lastFlag && this.#chunks.length === 0) {
      this.#bytes = 0;
      return chunk;
    }
    this.#chunks.push(chunk);
    if (flag === moreFlag) return undefined;
    const message = concatBytes(...this.#chunks);
    this.#chunks = [];
    this.#bytes = 0;
    return message;
  }
}
