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
];
