/** Moves bytes both ways in order: a pipe, a TCP socket, a pair in memory. */
export interface Carrier {
  /** Queues bytes; false asks the writer to hold what can wait until `onDrain`. Does nothing once closed. */
  write(bytes: Uint8Array): boolean;
  /** Starts delivery; called once. */
  listen(listener: CarrierListener): void;
  /** Ends both directions, after what was written unless `now`; idempotent. */
  close(now?: boolean): void;
}

export interface CarrierListener {
  readonly onData: (bytes: Uint8Array) => void;
  readonly onDrain: () => void;
  /** Once, and last; also after our own `close`. */
  readonly onClose: () => void;
}

/** What a duplex stream must offer; Node's sockets and react-native-tcp-socket's both do. */
export interface ByteStream {
  write(bytes: Uint8Array): boolean;
  end(): unknown;
  destroy(): unknown;
  on(event: 'data', listener: (bytes: Uint8Array) => void): unknown;
  on(event: 'drain' | 'close' | 'end', listener: () => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
}

/** A carrier over a duplex stream. Half-open is closed: a peer that has ended its side reads no answers. */
export function streamCarrier(stream: ByteStream): Carrier {
  let open = true;
  return {
    write: (bytes) => open && stream.write(bytes),
    listen({ onData, onDrain, onClose }) {
      stream.on('data', onData);
      stream.on('drain', onDrain);
      // An error is always followed by `close`, which is what its receiver acts on; unheard it would end the process.
      stream.on('error', () => stream.destroy());
      stream.on('end', () => stream.destroy());
      stream.on('close', () => {
        open = false;
        onClose();
      });
    },
    close(now = false) {
      if (now) stream.destroy();
      else if (open) stream.end();
      open = false;
    },
  };
}
