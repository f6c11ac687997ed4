import { useState } from 'preact/hooks';
import { reasons } from '@lfo/router/src/core/reason.ts';
import type { Mode } from '@lfo/router/src/core/request.ts';
import { type Answer, bodyOf } from '../api/chat.ts';
import { count, duration, rate, score } from '../format.ts';
import { TierBadge } from '../parts/badges.tsx';
import { ConfidenceMeter } from '../parts/confidence-meter.tsx';
import { CopyButton } from '../parts/copy-button.tsx';
import { Fact } from '../parts/fact.tsx';
import { FeedbackButtons } from '../parts/feedback-buttons.tsx';
import { Link } from '../parts/link.tsx';
import { scoreOf } from '../phases.ts';
import type { Held, Run } from './playground-run.ts';

interface AnswerCardProps {
  readonly mode: Mode;
  readonly run: Run;
  /** Takes the answer into the conversation. */
  readonly goOn: (() => void) | undefined;
}

/** One answer: what was held back of it, what came of that, and what it was made of. */
export function AnswerCard({ mode, run, goOn }: AnswerCardProps) {
  const { answer, state, error, held } = run;
  const { metadata } = answer;
  return (
    <section class="card answer" aria-busy={state === 'running'} aria-label={`Answer in the mode ${mode}`}>
      <div class="card-head">
        <h2>{mode}</h2>
        {metadata !== undefined && metadata.route !== null && <TierBadge tier={metadata.route} />}
        {state === 'running' && <span class="dim">{doing(run)}</span>}
        {state === 'stopped' && <span class="dim">stopped</span>}
      </div>
      <div>
        {held !== undefined && <HeldAnswer held={held} />}
        {error === undefined ? (
          <div class="text">
            {answer.text}
            {answer.calls.map(({ id, name, arguments: json }) => (
              <code key={id} class="call">
                {name}({json})
              </code>
            ))}
          </div>
        ) : (
          <p class="error" role="alert">
            {error}
          </p>
        )}
      </div>
      <div>
        {metadata !== undefined && <AnswerFacts answer={answer} goOn={goOn} />}
        {state !== 'running' && <RawJson run={run} mode={mode} />}
      </div>
    </section>
  );
}

function doing({ answer, held }: Run): string {
  if (answer.text !== '' || answer.calls.length > 0) return 'answering…';
  if (held === undefined) return 'waiting…';
  if (held.verdict === null) return 'held back…';
  return held.verdict.isKept ? 'released' : 'asking the cloud…';
}

/** The local answer while it is judged; crossed out once it is not to be shown. */
function HeldAnswer({ held: { backend, model, text, verdict } }: { held: Held }) {
  const tone = verdict === null ? 'judging' : verdict.isKept ? 'kept' : 'dropped';
  return (
    <div class={`held-answer ${tone}`}>
      <p class="held-head">
        <span class="badge local">held back</span> <span class="strong">{backend}</span>{' '}
        <span class="dim">{model}</span>
      </p>
      {tone === 'kept' ? null : tone === 'dropped' ? <del class="text">{text}</del> : <div class="text">{text}</div>}
      {verdict !== null && (
        <>
          <ConfidenceMeter score={verdict.score} threshold={verdict.threshold} />
          <p class="verdict">{verdictText(verdict)}</p>
        </>
      )}
    </div>
  );
}

function verdictText({ isKept, score: value, threshold, reason }: NonNullable<Held['verdict']>): string {
  const numbers = value === null ? '' : `scored ${score(value)} ${value < threshold ? '<' : '≥'} ${score(threshold)}: `;
  if (isKept) return `${numbers}released`;
  return value !== null && value >= threshold
    ? `${reasons[reason]} The cloud is asked.`
    : `${numbers || `${reasons[reason]} `}not shown, the cloud is asked`;
}

/** What was sent and what came back, to be read or copied. */
function RawJson({ run, mode }: { run: Run; mode: Mode }) {
  const [isOpen, setOpen] = useState(false);
  const { text, calls, metadata, completionTokens } = run.answer;
  const raw = {
    request: { headers: { 'x-lfo-mode': mode }, body: bodyOf(run.asked) },
    answer: { content: text, tool_calls: calls, completion_tokens: completionTokens, lfo_metadata: metadata },
  };
  const json = JSON.stringify(raw, null, 2);
  return (
    <details class="raw" onToggle={({ currentTarget }) => setOpen(currentTarget.open)}>
      <summary>Raw JSON</summary>
      {isOpen && (
        <>
          <pre tabIndex={0}>{json}</pre>
          <CopyButton text={() => json} />
        </>
      )}
    </details>
  );
}

function AnswerFacts({ answer, goOn }: { answer: Answer; goOn: (() => void) | undefined }) {
  const { metadata, firstTextMs, totalMs, completionTokens } = answer;
  if (metadata === undefined) return null;
  const { backend, model, routing_reason: reason, threshold } = metadata;
  const writeMs = totalMs !== undefined && firstTextMs !== undefined ? totalMs - firstTextMs : undefined;
  const perSecond =
    writeMs !== undefined && writeMs > 0 && completionTokens !== undefined
      ? (completionTokens / writeMs) * 1_000
      : null;
  return (
    <div class="answer-facts">
      <p class="strong">
        {backend} <span class="dim">{model}</span>
      </p>
      {reason !== null && <p class="dim">{reasons[reason]}</p>}
      <ConfidenceMeter score={scoreOf(metadata)} threshold={threshold} />
      <dl class="facts">
        <Fact name="First text" value={duration(firstTextMs)} />
        <Fact name="Whole answer" value={duration(totalMs)} />
        <Fact name="Completion" value={`${count(completionTokens)} tokens`} />
        <Fact name="Speed" value={rate(perSecond)} />
      </dl>
      <div class="answer-foot">
        <FeedbackButtons id={metadata.request_id} given={undefined} />
        <Link to={`/requests/${metadata.request_id}`}>The whole decision</Link>
        {goOn !== undefined && (
          <button type="button" class="quiet" onClick={goOn}>
            Go on from here
          </button>
        )}
      </div>
    </div>
  );
}
