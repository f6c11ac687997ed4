import type { IncomingHttpHeaders } from 'node:http';
import type { KeyIdentity } from '../core/identity.ts';

/** Authenticates browsers by their session, as keys authenticate programs. */
export interface SessionAuth {
  /** Whether anyone may ask for the route: it shows nothing of anybody's, such as the login form. */
  isOpen(route: string | undefined): boolean;
  /** Looks up a session that may have begun elsewhere; `undefined` where there is nothing to wait for. Never rejects. */
  load?(headers: IncomingHttpHeaders): Promise<void> | undefined;
  /**
   * Whose session the cookie names. Also `undefined` where a method that changes something comes without the session's
   * CSRF token, since other pages can make a browser send cookies.
   */
  identify(headers: IncomingHttpHeaders, method: string): KeyIdentity | undefined;
}
