import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import { reasons } from '@lfo/router/src/core/reason.ts';
import type { Mode } from '@lfo/router/src/core/request.ts';
import { type Answer, chat, noAnswer } from '../api/chat.ts';
import { status } from '../api/live.ts';
import { count, duration, rate } from '../format.ts';
import { place } from '../navigation.ts';
import { TierBadge } from '../parts/badges.tsx';
import { ConfidenceMeter } from '../parts/confidence-meter.tsx';
import { FeedbackButtons } from '../parts/feedback-buttons.tsx';
import { Link } from '../parts/link.tsx';
import { ViewHead } from '../parts/states.tsx';

const modes: readonly { readonly mode: Mode; readonly about: string }[] = [
  { mode: 'local', about: 'stays on your network' },
  { mode: 'auto', about: 'local first, cloud if unsure' },
  { mode: 'cloud', about: 'leaves your network' },
];
const maxTokens = 512;

interface Run {
  readonly answer: Answer;
  readonly state: 'running' | 'done' | 'failed' | 'stopped';
  readonly error?: string;
}

type Runs = Readonly<Partial<Record<Mode, Run>>>;

/** Kept while the viewer is elsewhere, to look at a whole decision above all. */
const draft = signal('');
const chosenModes = signal<readonly Mode[]>(['local', 'auto', 'cloud']);
const allRuns = signal<Runs>({});
const aborting = signal<AbortController | undefined>(undefined);

/** One prompt in each mode, side by side. */
export function PlaygroundView() {
  useEffect(() => {
    const asked = place.value.query.get('prompt');
    if (asked !== null && asked !== '') draft.value = asked;
  }, []);
  const [prompt, chosen, runs] = [draft.value, chosenModes.value, allRuns.value];
  const isRunning = Object.values(runs).some((run) => run?.state === 'running');
  // As long as the fleet is not known, there may be one.
  const hasCloud = status.value?.backends.some(({ tier }) => tier === 'cloud') ?? true;
  const usable = chosen.filter((mode) => mode !== 'cloud' || hasCloud);
  const submit = (event: Event): void => {
    event.preventDefault();
    // What was typed a moment ago may not be drawn yet.
    if (!isRunning && draft.value.trim() !== '') start(draft.value, usable);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit(event);
  };
  const toggle = (mode: Mode): void =>
    void (chosenModes.value = chosen.includes(mode) ? chosen.filter((other) => other !== mode) : [...chosen, mode]);
  return (
    <>
      <ViewHead title="Playground" />
      <form class="card ask" onSubmit={submit}>
        <label for="prompt">Prompt</label>
        <textarea
          id="prompt"
          rows={4}
          value={prompt}
          placeholder="What is the capital of Australia?"
          onInput={({ currentTarget }) => void (draft.value = currentTarget.value)}
          onKeyDown={onKeyDown}
        />
        <div class="ask-foot">
          <fieldset>
            <legend class="unseen">Modes</legend>
            {modes.map(({ mode, about }) => (
              <label key={mode} class="check">
                <input
                  type="checkbox"
                  checked={usable.includes(mode)}
                  disabled={mode === 'cloud' && !hasCloud}
                  onChange={() => toggle(mode)}
                />
                <span>
                  <span class="strong">{mode}</span>{' '}
                  <span class="dim">{mode === 'cloud' && !hasCloud ? 'no cloud backend' : about}</span>
                </span>
              </label>
            ))}
          </fieldset>
          {isRunning ? (
            <button type="button" onClick={() => aborting.value?.abort()}>
              Stop
            </button>
          ) : (
            <button type="submit" class="primary" disabled={prompt.trim() === '' || usable.length === 0}>
              Send <kbd>Ctrl ⏎</kbd>
            </button>
          )}
        </div>
      </form>
      <div class="answers">
        {modes.map(({ mode }) => {
          const run = runs[mode];
          return run === undefined ? null : <AnswerCard key={mode} mode={mode} run={run} />;
        })}
      </div>
    </>
  );
}

function start(prompt: string, asked: readonly Mode[]): void {
  const controller = new AbortController();
  aborting.value = controller;
  allRuns.value = {};
  for (const mode of asked) {
    const update = (change: Partial<Run>): void => {
      const before = allRuns.value;
      allRuns.value = { ...before, [mode]: { answer: noAnswer, state: 'running', ...before[mode], ...change } };
    };
    update({});
    chat(prompt, mode, maxTokens, controller.signal, (answer) => update({ answer })).then(
      () => update({ state: 'done' }),
      (error: unknown) => {
        if (controller.signal.aborted) update({ state: 'stopped' });
        else update({ state: 'failed', error: error instanceof Error ? error.message : 'The answer was cut off.' });
      },
    );
  }
}

function AnswerCard({ mode, run: { answer, state, error } }: { mode: Mode; run: Run }) {
  const { metadata } = answer;
  return (
    <section class="card answer" aria-busy={state === 'running'} aria-label={`Answer in the mode ${mode}`}>
      <div class="card-head">
        <h2>{mode}</h2>
        {metadata !== undefined && metadata.route !== null && <TierBadge tier={metadata.route} />}
        {state === 'running' && <span class="dim">{answer.text === '' ? 'waiting…' : 'answering…'}</span>}
        {state === 'stopped' && <span class="dim">stopped</span>}
      </div>
      {error === undefined ? (
        <div class="text">{answer.text}</div>
      ) : (
        <p class="error" role="alert">
          {error}
        </p>
      )}
      {metadata !== undefined && <AnswerFacts answer={answer} />}
    </section>
  );
}

function AnswerFacts({ answer }: { answer: Answer }) {
  const { metadata, firstTextMs, totalMs, completionTokens } = answer;
  if (metadata === undefined) return null;
  const { backend, model, routing_reason: reason, confidence, threshold, attempts } = metadata;
  const judged = confidence ?? attempts.findLast(({ tier }) => tier === 'local')?.score ?? null;
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
      <ConfidenceMeter score={judged} threshold={threshold} />
      <dl class="facts">
        <div>
          <dt>First text</dt>
          <dd class="number">{duration(firstTextMs)}</dd>
        </div>
        <div>
          <dt>Whole answer</dt>
          <dd class="number">{duration(totalMs)}</dd>
        </div>
        <div>
          <dt>Completion</dt>
          <dd class="number">{count(completionTokens)} tokens</dd>
        </div>
        <div>
          <dt>Speed</dt>
          <dd class="number">{rate(perSecond)}</dd>
        </div>
      </dl>
      <div class="answer-foot">
        <FeedbackButtons id={metadata.request_id} given={undefined} />
        <Link to={`/requests/${metadata.request_id}`}>The whole decision</Link>
      </div>
    </div>
  );
}
