import type { Capture, CapturedCall } from '@lfo/router/src/records/request-view.ts';
import type { ComponentChildren } from 'preact';
import { plural } from '../format.ts';

/** Longer texts are folded: a system prompt should not push the answer off the screen. */
const foldBeyond = 1_500;
const teaserLength = 500;

/** What was said, as text and nothing but text. */
export function Conversation({ capture }: { capture: Capture | null }) {
  if (capture === null) {
    return (
      <p class="aside">
        The prompt and answer of this request were not kept. With <code>records.capture</code> on, later ones are.
      </p>
    );
  }
  const { messages, tools, answer, isCut } = capture;
  return (
    <section class="card conversation">
      <h2>Conversation</h2>
      <ol>
        {messages.map(({ role, text, attachments, calls }, index) => (
          <Turn key={index} role={role} tone={role}>
            <Text text={text} />
            {attachments.length > 0 && <p class="hint">With {attachments.join(', ')}, not kept.</p>}
            <Calls calls={calls} />
          </Turn>
        ))}
        <Turn role="answer" tone="answer">
          {answer.reasoning !== '' && (
            <details class="thoughts">
              <summary>Reasoning</summary>
              <div class="text">{answer.reasoning}</div>
            </details>
          )}
          <Text text={answer.text} />
          {answer.refusal !== '' && <Text text={answer.refusal} />}
          <Calls calls={answer.calls} />
          {answer.text === '' && answer.refusal === '' && answer.calls.length === 0 && <p class="dim">No answer.</p>}
        </Turn>
      </ol>
      {(tools.length > 0 || isCut) && (
        <p class="hint">
          {tools.length > 0 && `Offered ${plural(tools.length, 'tool')}: ${tools.join(', ')}. `}
          {isCut && 'Longer texts were cut.'}
        </p>
      )}
    </section>
  );
}

function Turn({ role, tone, children }: { role: string; tone: string; children: ComponentChildren }) {
  return (
    <li class={`turn ${tone}`}>
      <p class="role">{role}</p>
      <div class="said">{children}</div>
    </li>
  );
}

function Text({ text }: { text: string }) {
  if (text === '') return null;
  if (text.length <= foldBeyond) return <div class="text">{text}</div>;
  return (
    <details class="folded">
      <summary>
        <span class="text">{text.slice(0, teaserLength)}…</span>
        <span class="more">Show all of {plural(text.length, 'character')}</span>
        <span class="less">Show less</span>
      </summary>
      <div class="text">{text}</div>
    </details>
  );
}

function Calls({ calls }: { calls: readonly CapturedCall[] }) {
  if (calls.length === 0) return null;
  return (
    <ul class="calls">
      {calls.map(({ name, arguments: json }, index) => (
        <li key={index}>
          <code>
            {name}({json})
          </code>
        </li>
      ))}
    </ul>
  );
}
