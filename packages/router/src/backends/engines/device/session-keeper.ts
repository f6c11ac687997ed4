import type { DeviceMessage, MessageOf, RouterMessage } from '@lfo/protocol';
import type { Clock } from '../../../core/clock.ts';
import { RouterSession, type Resumption } from './router-session.ts';

type Hello = MessageOf<DeviceMessage, 'hello'>;

/** Take-overs from different processes while the older link was alive, within the window, that mean two devices. */
const conflictTakeOvers = 3;
const conflictWindowMs = 5 * 60_000;
/** A conflict ends when one process alone has called for this long. */
const conflictQuietMs = 10 * 60_000;

/** A link whose device has said `hello`. */
export interface GreetedLink {
  send(message: RouterMessage): void;
  /** Says `bye` and closes. */
  close(code: 'replaced' | 'duplicate_identity'): void;
  /** Closes without a word. */
  cut(): void;
  readonly rttMs: () => number;
}

/** What a `hello` leads to. */
export type Greeting =
  | ({
      readonly kind: 'new' | 'resumed';
      readonly session: RouterSession;
      /** The end of an older link that was up: the same process has moved, or another has taken over. */
      readonly older: 'roamed' | 'replaced' | undefined;
    } & Resumption)
  /** Two devices have one key: the link has been told so, and nothing is dispatched. */
  | { readonly kind: 'conflict' };

export interface SessionKeeperOptions {
  readonly clock: Clock;
  readonly graceMs: number;
  /** A new id of a session. */
  readonly newSessionId: () => string;
  /** A session is over, its grace included. */
  readonly onSessionOver?: (session: RouterSession, hasExpired: boolean) => void;
}

/** What a new link means: another process of the device, one that is back or has moved, or the first. */
export type GreetingKind = 'new' | 'resumed' | 'roamed' | 'replaced';

/** The sessions of one device: at most one is current, on at most one link. */
export class SessionKeeper {
  readonly #options: SessionKeeperOptions;
  #session: RouterSession | undefined;
  #link: GreetedLink | undefined;
  #takeOvers: { readonly boot: string; readonly atMs: number }[] = [];
  #conflict: { boot: string; sinceMs: number } | undefined;

  constructor(options: SessionKeeperOptions) {
    this.#options = options;
  }

  get session(): RouterSession | undefined {
    return this.#session;
  }

  /** Two devices call with one key. */
  get isConflict(): boolean {
    return this.#conflict !== undefined;
  }

  /** A proven device has said `hello`. The same process takes its session over; another ends it. */
  greet(hello: Hello, link: GreetedLink): Greeting {
    const older = this.#link;
    if (this.#isInConflict(hello.boot) || (older !== undefined && this.#takesOver(hello.boot, older))) {
      link.close('duplicate_identity');
      return { kind: 'conflict' };
    }
    const known = this.#session;
    this.#link = link;
    const send = (message: RouterMessage): void => link.send(message);
    if (known !== undefined && known.boot === hello.boot && hello.session?.id === known.id) {
      // The device itself has moved, for instance to another network: `replaced` would send it away.
      older?.cut();
      const resumption = known.resume(hello.session.requests, send, link.rttMs);
      return { kind: 'resumed', session: known, older: older && 'roamed', ...resumption };
    }
    const isSameProcess = known?.boot === hello.boot;
    if (isSameProcess) older?.cut();
    else older?.close('replaced');
    known?.end(isSameProcess ? 'lost' : 'process_ended');
    const { clock, graceMs, newSessionId, onSessionOver } = this.#options;
    const session: RouterSession = new RouterSession({
      clock,
      id: newSessionId(),
      boot: hello.boot,
      graceMs: hello.features.includes('resume') ? graceMs : 0,
      onOver: (hasExpired) => {
        if (this.#session === session) this.#session = undefined;
        onSessionOver?.(session, hasExpired);
      },
    });
    this.#session = session;
    session.attach(send, link.rttMs);
    return { kind: 'new', session, older: older && (isSameProcess ? 'roamed' : 'replaced'), resume: [], again: [] };
  }

  /** A link has closed, with a word that the device does not return or without; one that was taken over does not matter. */
  closed(link: GreetedLink, isForGood = false): void {
    if (this.#link !== link) return;
    this.#link = undefined;
    if (isForGood) this.#session?.end();
    else this.#session?.detach();
  }

  /** The device is removed: everything ends, and a conflict with it. */
  end(): void {
    this.#conflict = undefined;
    this.#takeOvers = [];
    this.#link = undefined;
    this.#session?.end();
  }

  #isInConflict(boot: string): boolean {
    const conflict = this.#conflict;
    if (conflict === undefined) return false;
    const nowMs = this.#options.clock.nowMs();
    if (conflict.boot !== boot) this.#conflict = { boot, sinceMs: nowMs };
    else if (nowMs - conflict.sinceMs >= conflictQuietMs) {
      this.#conflict = undefined;
      this.#takeOvers = [];
    }
    return this.#conflict !== undefined;
  }

  /** Counts a take-over by another process while the older link is alive; true where it means two devices. */
  #takesOver(boot: string, older: GreetedLink): boolean {
    if (this.#session === undefined || this.#session.boot === boot) return false;
    const nowMs = this.#options.clock.nowMs();
    this.#takeOvers = this.#takeOvers.filter(({ atMs }) => nowMs - atMs < conflictWindowMs);
    this.#takeOvers.push({ boot, atMs: nowMs });
    if (this.#takeOvers.length < conflictTakeOvers) return false;
    this.#conflict = { boot, sinceMs: nowMs };
    this.#link = undefined;
    older.close('duplicate_identity');
    this.#session.end('process_ended');
    return true;
  }
}
