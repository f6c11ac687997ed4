import { RequestError } from '../core/errors.ts';
import type { ContentPart, InstructionMessage, Message, TextPart, ToolCall } from '../core/request.ts';
import { noResult, unansweredWarning } from './mended-calls.ts';

/** What later messages may still change: consecutive turns of one role are one turn. */
type Draft =
  | InstructionMessage
  | { readonly role: 'user'; content: ContentPart[] }
  | { readonly role: 'assistant'; content: TextPart[]; toolCalls: ToolCall[]; reasoning?: string }
  | { readonly role: 'tool'; readonly toolCallId: string; readonly content: readonly TextPart[] };

/**
 * Builds a conversation from the items of a wire, order kept. Results must answer a call that was made; a call that
 * nobody answered, as an interrupted agent leaves it, is answered with nothing, since no backend takes it otherwise.
 */
export class Conversation {
  readonly #messages: Draft[] = [];
  readonly #warnings: Map<string, string>;
  /** Calls of the latest assistant turn without a result. */
  readonly #open = new Set<string>();
  readonly #answered = new Set<string>();
  /** Places of results that stand in for those that have not come so far. */
  readonly #standIns = new Map<string, number>();
  /** Thoughts before a turn of the assistant that has not come yet. */
  #thoughts: string[] = [];

  constructor(warnings: Map<string, string>) {
    this.#warnings = warnings;
  }

  instruction(role: 'system' | 'developer', texts: readonly string[]): void {
    const content = texts.filter((text) => text !== '').map(textPart);
    if (content.length > 0) this.#messages.push({ role, content });
  }

  /** Instructions in the middle stay there, where no template has to take them for the system's. */
  reminder(text: string): void {
    if (text.trim() !== '') this.user([textPart(`<system-reminder>\n${text}\n</system-reminder>`)]);
  }

  user(content: readonly ContentPart[]): void {
    if (content.length === 0) return;
    this.#thoughts = [];
    this.#closeCalls();
    const last = this.#messages.at(-1);
    if (last?.role === 'user') last.content.push(...content);
    else this.#messages.push({ role: 'user', content: [...content] });
  }

  /** What the assistant thought before its next words or calls. */
  thought(text: string): void {
    if (text.trim() !== '') this.#thoughts.push(text);
  }

  assistant(texts: readonly string[], toolCalls: readonly ToolCall[]): void {
    const content = texts.filter((text) => text !== '').map(textPart);
    if (content.length === 0 && toolCalls.length === 0) return;
    const last = this.#messages.at(-1);
    const reasoning = this.#thoughts.splice(0).join('\n');
    if (last?.role === 'assistant') {
      last.content.push(...content);
      last.toolCalls.push(...toolCalls);
      if (reasoning !== '') last.reasoning = [last.reasoning, reasoning].filter(Boolean).join('\n');
    } else {
      this.#closeCalls();
      const turn = { role: 'assistant' as const, content, toolCalls: [...toolCalls] };
      this.#messages.push(reasoning === '' ? turn : { ...turn, reasoning });
    }
    for (const { id } of toolCalls) {
      this.#open.add(id);
      this.#answered.delete(id);
      if (this.#standIns.delete(id)) this.#warnings.set('tool_calls', unansweredWarning);
    }
  }

  /** @throws RequestError naming `param` where no call has this id, or it was answered before */
  result(id: string, text: string, param: string): void {
    const standIn = this.#standIns.get(id);
    if (standIn !== undefined) {
      // It comes after all, behind what was said meanwhile: results stay with their calls.
      this.#standIns.delete(id);
      this.#messages[standIn] = { role: 'tool', toolCallId: id, content: [textPart(text)] };
      return;
    }
    if (this.#answered.has(id)) {
      throw new RequestError(`${param}: the call "${id.slice(0, 64)}" has been answered already.`, { param });
    }
    if (!this.#open.delete(id)) {
      throw new RequestError(`${param}: answers no call of the assistant turn before it: "${id.slice(0, 64)}".`, {
        param,
      });
    }
    this.#answered.add(id);
    this.#messages.push({ role: 'tool', toolCallId: id, content: [textPart(text)] });
  }

  /** @throws RequestError where nobody said anything */
  end(param: string): readonly Message[] {
    this.#closeCalls();
    if (this.#standIns.size > 0) this.#warnings.set('tool_calls', unansweredWarning);
    if (!this.#messages.some(({ role }) => role !== 'system' && role !== 'developer')) {
      throw new RequestError(`${param}: holds no turn of a user.`, { code: 'missing_required_parameter', param });
    }
    return this.#messages;
  }

  #closeCalls(): void {
    if (this.#open.size === 0) return;
    for (const id of this.#open) {
      this.#answered.add(id);
      this.#standIns.set(id, this.#messages.length);
      this.#messages.push(noResult(id));
    }
    this.#open.clear();
  }
}

export function textPart(text: string): TextPart {
  return { type: 'text', text };
}
