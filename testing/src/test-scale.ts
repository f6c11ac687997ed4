/** Whether everything is asked for that takes long: `LFO_TEST_FULL=1`, as `npm run test:full` sets it. */
export const isFullRun = process.env['LFO_TEST_FULL'] === '1';

/** How often a test does something: in every run, and in the full one before a release. */
export function scaled(counts: { readonly always: number; readonly full: number }): number {
  return isFullRun ? counts.full : counts.always;
}
