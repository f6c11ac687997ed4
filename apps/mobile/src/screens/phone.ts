import type { PhoneHost } from '../host/phone-host';
import type { ModelShelf } from '../models/model-shelf';

/** A router that says on the local network that it is there. Nothing of it is proven. */
export interface FoundRouter {
  readonly name: string;
  readonly address: string;
  /** Whether a pairing is open there. */
  readonly isPairing: boolean;
}

/** What the screens show and what they may do: the phone itself, or in a browser one that is made up. */
export interface Phone {
  readonly host: Pick<
    PhoneHost,
    'view' | 'start' | 'stop' | 'pair' | 'unpair' | 'showPairing' | 'endPairing' | 'choose' | 'setPaused' | 'lookAgain'
  >;
  readonly shelf: Pick<ModelShelf, 'models' | 'freeMegabytes' | 'stateOf' | 'fetch' | 'pause' | 'remove'>;
  /** Whether Android lets the app work on with the screen off, and the question to its owner. */
  readonly background: { isAllowed(): boolean; ask(): void };
  /** Of this phone on the local network. */
  readonly address: () => string | undefined;
  readonly subscribe: (run: () => void) => () => void;
  /** Tells of routers until the returned function is called. */
  readonly discover: (onFound: (routers: readonly FoundRouter[]) => void) => () => void;
}
