import type { Carrier, CarrierListener } from '@lfo/protocol';

/** One end of a pair in memory, with the faults a test may cause. */
export interface TestCarrier extends Carrier {
  /** All bytes written, in order. */
  readonly written: readonly Uint8Array[];
  /** While false, `write` answers false and its bytes stay here; setting it true delivers them and drains. */
  flowing: boolean;
  /** Bytes to the listener of this end, as if the peer had written them. */
  inject(bytes: Uint8Array): void;
  /** Gone without a word, as by a killed process: both ends see the close. */
  cut(): void;
}

/** Two carriers that write to each other. Delivery takes a microtask, as no real write is heard synchronously. */
export function carrierPair(): readonly [TestCarrier, TestCarrier] {
  const left = new MemoryCarrier();
  const right = new MemoryCarrier();
  left.peer = right;
  right.peer = left;
  return [left, right];
}

class MemoryCarrier implements TestCarrier {
  readonly written: Uint8Array[] = [];
  peer: MemoryCarrier | undefined;
  #listener: CarrierListener | undefined;
  #early: Uint8Array[] = [];
  #held: Uint8Array[] = [];
  #flowing = true;
  #closed = false;
  #closeSaid = false;

  get flowing(): boolean {
    return this.#flowing;
  }

  set flowing(flowing: boolean) {
    this.#flowing = flowing;
    if (!flowing) return;
    for (const bytes of this.#held.splice(0)) this.#deliver(bytes);
    queueMicrotask(() => this.#closed || this.#listener?.onDrain());
  }

  write(bytes: Uint8Array): boolean {
    if (this.#closed) return false;
    this.written.push(bytes);
    if (!this.#flowing) {
      this.#held.push(bytes);
      return false;
    }
    this.#deliver(bytes);
    return true;
  }

  listen(listener: CarrierListener): void {
    this.#listener = listener;
    for (const bytes of this.#early.splice(0)) this.inject(bytes);
    if (this.#closed) queueMicrotask(() => this.#sayClosed());
  }

  inject(bytes: Uint8Array): void {
    if (this.#listener === undefined) this.#early.push(bytes);
    else if (!this.#closeSaid) this.#listener.onData(bytes);
  }

  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    queueMicrotask(() => {
      this.#sayClosed();
      this.peer?.cut();
    });
  }

  cut(): void {
    this.#closed = true;
    queueMicrotask(() => this.#sayClosed());
    if (this.peer !== undefined && !this.peer.#closed) this.peer.cut();
  }

  #deliver(bytes: Uint8Array): void {
    queueMicrotask(() => this.peer?.inject(bytes));
  }

  #sayClosed(): void {
    if (this.#closeSaid || this.#listener === undefined) return;
    this.#closeSaid = true;
    this.#listener.onClose();
  }
}
