import { createHmac } from 'node:crypto';

/** Stands for a text of ours at somebody else's: the same text gives the same id, and the id does not give the text. */
export type OpaqueIds = (text: string) => string;

/** Routers that are configured with the same secret say the same. */
export function opaqueIds(secret = ''): OpaqueIds {
  return (text) => createHmac('sha256', `lfo/opaque ${secret}`).update(text).digest('base64url').slice(0, 22);
}
