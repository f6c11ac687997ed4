import { signal } from '@preact/signals';
import { useEffect } from 'preact/hooks';
import type { Mode } from '@lfo/router/src/core/request.ts';
import type { RequestBody } from '@lfo/router/src/admin/wire.ts';
import type { HeldView } from '@lfo/router/src/records/request-view.ts';
import { chat, type ChatAsk, noAnswer, type Turn } from '../api/chat.ts';
import { ask as askRouter } from '../api/client.ts';
import { onHeld, status } from '../api/live.ts';
import { go, place } from '../navigation.ts';
import { ViewHead } from '../parts/states.tsx';
import { AnswerCard } from './playground-answer.tsx';
import { Options, optionFaults, optionsBody, setSystem } from './playground-options.tsx';
import type { Held, Run } from './playground-run.ts';

const modes: readonly { readonly mode: Mode; readonly about: string }[] = [
  { mode: 'local', about: 'stays on your network' },
  { mode: 'auto', about: 'local first, cloud if unsure' },
  { mode: 'cloud', about: 'leaves your network' },
];

type Runs = Readonly<Partial<Record<Mode, Run>>>;

/** Kept while the viewer is elsewhere, to look at a whole decision above all. */
const draft = signal('');
const turns = signal<readonly Turn[]>([]);
const chosenModes = signal<readonly Mode[]>(['local', 'auto', 'cloud']);
const allRuns = signal<Runs>({});
const aborting = signal<AbortController | undefined>(undefined);
onHeld(takeHeld);

/** One prompt in each mode, side by side; in `auto` with the local answer that is held back. */
export function PlaygroundView() {
  useEffect(() => {
    const from = place.value.query.get('from');
    if (from === null || from === '') return;
    // Else the way back here would put it in place of what was typed since.
    go('/playground', 'replace');
    void loadRequest(from);
  }, []);
  const [prompt, chosen, runs] = [draft.value, chosenModes.value, allRuns.value];
  const isRunning = Object.values(runs).some((run) => run?.state === 'running');
  // As long as the fleet is not known, there may be one.
  const hasCloud = status.value?.backends.some(({ tier }) => tier === 'cloud') ?? true;
  const usable = chosen.filter((mode) => mode !== 'cloud' || hasCloud);
  const submit = (event: Event): void => {
    event.preventDefault();
    // What was typed a moment ago may not be drawn yet.
    if (!isRunning && draft.value.trim() !== '' && optionFaults.value.length === 0) start(draft.value, usable);
  };
  const onKeyDown = (event: KeyboardEvent): void => {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) submit(event);
  };
  const toggle = (mode: Mode): void =>
    void (chosenModes.value = chosen.includes(mode) ? chosen.filter((other) => other !== mode) : [...chosen, mode]);
  return (
    <>
      <ViewHead title="Playground" />
      <History />
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
        <Options />
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
            <button
              type="submit"
              class="primary"
              disabled={prompt.trim() === '' || usable.length === 0 || optionFaults.value.length > 0}
            >
              Send <kbd>Ctrl ⏎</kbd>
            </button>
          )}
        </div>
      </form>
      <div class="answers">
        {modes.map(({ mode }) => {
          const run = runs[mode];
          return run === undefined ? null : (
            <AnswerCard key={mode} mode={mode} run={run} goOn={isRunning ? undefined : () => goOnWith(run)} />
          );
        })}
      </div>
    </>
  );
}

/** The conversation that the next prompt goes on from. */
function History() {
  const list = turns.value;
  if (list.length === 0) return null;
  return (
    <section class="card conversation" aria-label="Conversation so far">
      <div class="card-head">
        <h2>Conversation</h2>
        <button type="button" class="quiet" onClick={() => void (turns.value = [])}>
          Begin anew
        </button>
      </div>
      <ol>
        {list.map(({ role, content, tool_calls: calls }, index) => (
          <li key={index} class={`turn ${role === 'assistant' ? 'answer' : role}`}>
            <span class="role">{role}</span>
            <div class="text">{content === '' ? JSON.stringify(calls) : content}</div>
          </li>
        ))}
      </ol>
    </section>
  );
}

/** The answer becomes part of the conversation; results of its calls are written by hand. */
function goOnWith({ asked, answer }: Run): void {
  const { text, calls } = answer;
  const said: Turn = {
    role: 'assistant',
    content: text,
    ...(calls.length > 0 && {
      tool_calls: calls.map(({ id, name, arguments: json }) => ({
        id,
        type: 'function',
        function: { name, arguments: json },
      })),
    }),
  };
  const results = calls.map(({ id, name }): Turn => ({
    role: 'tool',
    tool_call_id: id,
    content: `(result of ${name})`,
  }));
  turns.value = [...turns.value, ...asked.messages.slice(-1), said, ...results];
  draft.value = '';
  allRuns.value = {};
  document.querySelector<HTMLElement>('#prompt')?.focus();
}

/** A recorded request to be asked again, with all of its words that were kept. */
async function loadRequest(id: string): Promise<void> {
  try {
    const { capture } = await askRouter<RequestBody>(`/dashboard/api/requests/${encodeURIComponent(id)}`);
    if (capture === null) return;
    const last = capture.messages.findLastIndex(({ role }) => role === 'user');
    const before = capture.messages.slice(0, last);
    turns.value = before.flatMap(({ role, text }): readonly Turn[] =>
      role === 'user' || role === 'assistant' ? [{ role, content: text }] : [],
    );
    const system = capture.messages.filter(({ role }) => role === 'system' || role === 'developer');
    setSystem(system.map(({ text }) => text).join('\n\n'));
    draft.value = capture.messages[last]?.text ?? '';
  } catch {
    // The page of the request says what is wrong with it.
  }
}

/** Each attempt is held back by itself; what comes late of a question before this one is left out. */
function takeHeld({ id, afterMs, text, verdict, backend, model }: HeldView): void {
  const run = allRuns.value.auto;
  if (run === undefined) return;
  const before = run.held;
  // Ids grow with the time (UUIDv7).
  if (before !== undefined && id < before.id) return;
  const isSame = before?.id === id && before.afterMs === afterMs;
  const held: Held = { id, afterMs, backend, model, text: (isSame ? before.text : '') + text, verdict };
  allRuns.value = { ...allRuns.value, auto: { ...run, held } };
}

function start(prompt: string, asked: readonly Mode[]): void {
  const controller = new AbortController();
  aborting.value = controller;
  allRuns.value = {};
  const { system, ...options } = optionsBody();
  const messages: readonly Turn[] = [
    ...(system === undefined ? [] : [{ role: 'system' as const, content: system }]),
    ...turns.value,
    { role: 'user', content: prompt },
  ];
  const body: ChatAsk = { ...options, messages };
  for (const mode of asked) {
    const update = (change: Partial<Run>): void => {
      const before = allRuns.value;
      const run: Run = { answer: noAnswer, state: 'running', asked: body, ...before[mode], ...change };
      allRuns.value = { ...before, [mode]: run };
    };
    update({});
    chat(body, mode, controller.signal, (answer) => update({ answer })).then(
      () => update({ state: 'done' }),
      (error: unknown) => {
        if (controller.signal.aborted) update({ state: 'stopped' });
        else update({ state: 'failed', error: error instanceof Error ? error.message : 'The answer was cut off.' });
      },
    );
  }
}
