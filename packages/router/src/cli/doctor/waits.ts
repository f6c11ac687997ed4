import { type Archive, ArchiveError } from '../../records/archive.ts';
import { advised, passed, type Check } from './check.ts';

/** Off by more than this, routing decides by a number that is not so. */
const toleratedFactor = 2;
/** Shorter ones are off by the jitter of the machine alone. */
const shortMs = 50;

/** Whether the waits that routing predicted of late were those that came. */
export async function checkWaits(archive: Archive, sinceMs: number): Promise<Check[]> {
  const name = 'waits';
  try {
    const { predictedWaitMs, waitMs } = await archive.summary(sinceMs);
    if (predictedWaitMs === null || waitMs === null) return [passed(name, 'none was predicted in the last 7 days')];
    const found = `predicted ${Math.round(predictedWaitMs)} ms for the first local token, was ${Math.round(waitMs)} ms`;
    const factor = Math.max(predictedWaitMs, waitMs) / Math.max(1, Math.min(predictedWaitMs, waitMs));
    if (factor <= toleratedFactor || Math.max(predictedWaitMs, waitMs) < shortMs) {
      return [passed(name, `${found} (means of 7 days)`)];
    }
    return [
      advised(
        name,
        `${found}: off by ${factor.toFixed(1)} (means of 7 days)`,
        'lfo stats --by backend shows whose; a server that others use too is slower than LFO can know: lower its concurrency',
      ),
    ];
  } catch (error) {
    // There is none yet, or the check of the database says what is wrong with it.
    if (error instanceof ArchiveError) return [];
    throw error;
  }
}
