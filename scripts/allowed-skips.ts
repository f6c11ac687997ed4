/** A skip that does not fail a run with `CI=true`. */
export interface AllowedSkip {
  /** What the test says, whole. */
  readonly reason: string;
  /** Why nothing is lost. */
  readonly because: string;
}

/** All of them. A machine without a browser, a database or a namespace is not among them: see `.ci/set-up`. */
export const allowedSkips: readonly AllowedSkip[] = [
  {
    reason: 'the reference data is not beside this checkout',
    because: 'it is not published with the code; `LFO_REFERENCE_DATA` names its folder',
  },
  {
    reason: 'this machine has no IPv6 loopback',
    because: 'many containers have none; what is shown of IPv4 is shown all the same',
  },
  { reason: 'no system Node', because: 'then there is no old Node that could be handed over from' },
  { reason: 'the engine reads no file', because: 'the scripted engine has no file that could be missing' },
  { reason: 'a device has one format', because: 'the contract of backends speaks of HTTP there' },
  {
    reason: 'a device is paired once, not asked for a key with each request',
    because: 'the contract of backends speaks of HTTP there',
  },
  {
    reason: 'a device has no rate limit; it is busy',
    because: 'the contract of backends speaks of HTTP there',
  },
];
