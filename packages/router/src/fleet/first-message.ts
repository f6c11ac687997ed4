import { deviceMessages, protocolVersions, routerLink } from '@lfo/protocol';
import type { Channel, ChannelListener, DeviceMessage, MessageOf } from '@lfo/protocol';
import type { Clock } from '../core/clock.ts';

/** From the end of the handshake to `hello`. */
export const helloMs = 5_000;

export type Hello = MessageOf<DeviceMessage, 'hello'>;

/**
 * Waits for the first message of a proven peer. A handshake can be replayed by anyone, a first record cannot: so nothing
 * of an older link is touched before it. `onHello` listens to the channel it is given before it returns; the hello is then
 * delivered there once more. Anything else is answered as the protocol says and ends the link.
 */
export function afterHello(
  channel: Channel,
  clock: Clock,
  onHello: (channel: Channel, hello: Hello) => void,
  onNone: (code: string) => void,
): void {
  let delegate: ChannelListener | undefined;
  const cancel = clock.schedule(helloMs, () => channel.close('no_hello', true));
  const handed: Channel = {
    send: (payload) => channel.send(payload),
    limit: (bytes) => channel.limit(bytes),
    close: (reason, now) => channel.close(reason, now),
    listen: (listener) => {
      delegate = listener;
    },
  };
  channel.listen({
    onPayload(payload) {
      if (delegate === undefined) {
        cancel();
        const hello = readHello(payload);
        if (hello === undefined) routerLink(handed, clock).listen({ onMessage() {}, onClose: onNone });
        else onHello(handed, hello);
      }
      delegate?.onPayload(payload);
    },
    onDrain: () => delegate?.onDrain(),
    onFault(code) {
      if (delegate?.onFault === undefined) channel.close(code);
      else delegate.onFault(code);
    },
    onClose(reason) {
      cancel();
      if (delegate === undefined) onNone(reason);
      else delegate.onClose(reason);
    },
  });
}

function readHello(payload: Uint8Array): Hello | undefined {
  try {
    const read = deviceMessages.read(JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload)));
    if (!('message' in read) || read.message.t !== 'hello') return undefined;
    const { message } = read;
    return protocolVersions.some((ours) => message.v.includes(ours)) ? message : undefined;
  } catch {
    return undefined;
  }
}
