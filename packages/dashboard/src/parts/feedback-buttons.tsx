import { useState } from 'preact/hooks';
import type { Verdict } from '@lfo/router/src/records/history.ts';
import { post } from '../api/client.ts';

/** Asks whether an answer was good, and tells LFO. */
export function FeedbackButtons({ id, given }: { id: string; given: Verdict | undefined }) {
  const [verdict, setVerdict] = useState(given);
  const [error, setError] = useState<string | undefined>(undefined);
  const say = async (said: Verdict): Promise<void> => {
    try {
      await post('/v1/feedback', { request_id: id, verdict: said });
      setVerdict(said);
      setError(undefined);
    } catch (thrown) {
      setError(thrown instanceof Error ? thrown.message : 'That did not work.');
    }
  };
  return (
    <div class="feedback" role="group" aria-label="Was this answer good?">
      <button type="button" aria-pressed={verdict === 'good'} onClick={() => void say('good')}>
        Good answer
      </button>
      <button type="button" aria-pressed={verdict === 'bad'} onClick={() => void say('bad')}>
        Bad answer
      </button>
      {error !== undefined && (
        <span class="error" role="alert">
          {error}
        </span>
      )}
    </div>
  );
}
