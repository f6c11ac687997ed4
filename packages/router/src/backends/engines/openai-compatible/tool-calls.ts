import { createHash } from 'node:crypto';
import { missingEnd } from '@lfo/device-core/tool-calls';
import type { InferenceEvent } from '../../../core/events.ts';
import { isJsonObject, type JsonObject, type JsonValue, parseJson } from '../../../core/json.ts';

interface Call {
  /** Position among the started, ours: servers repeat or omit theirs. */
  index: number;
  readonly wireIndex: number | undefined;
  /** As the server wrote it. */
  wireId: string | undefined;
  name: string;
  signature: string | undefined;
  isStarted: boolean;
  json: string;
}

/**
 * Puts streamed tool calls together and repairs what servers get wrong: missing or constant index, missing, repeated or
 * overlong ids, a name in each fragment, arguments as an object. Fragments pass as they come.
 */
export class ToolCallReader {
  readonly #idPrefix: string;
  readonly #calls: Call[] = [];
  readonly #ids = new Set<string>();
  #started = 0;

  /** @param requestId makes ids of ours unique beyond the answer */
  constructor(requestId: string) {
    this.#idPrefix = `call_${requestId.replaceAll('-', '').slice(-16)}`;
  }

  get hasCalls(): boolean {
    return this.#calls.length > 0;
  }

  /** Reads one element of `tool_calls`. */
  read(delta: JsonValue): InferenceEvent[] {
    if (!isJsonObject(delta)) return [];
    const fn = isJsonObject(delta['function']) ? delta['function'] : {};
    const id = nonEmpty(delta['id']);
    const name = nonEmpty(fn['name']);
    const json = argumentsOf(fn['arguments']);
    if (id === undefined && name === undefined && json === '') return [];
    const call = this.#callFor(indexOf(delta), id, name);
    call.wireId ??= id;
    call.signature ??= signatureOf(delta);
    if (!call.isStarted && name !== undefined) call.name = name;
    return this.#append(call, json);
  }

  /**
   * The ends of all calls; JSON that was left open is closed unless the answer was cut, a call whose arguments are no JSON
   * gets no end.
   * @returns whether all were complete
   */
  end(events: InferenceEvent[], isCut = false): boolean {
    let areAllComplete = true;
    for (const call of this.#calls.toSorted((a, b) => a.index - b.index)) {
      if (!call.isStarted) {
        areAllComplete = false;
        continue;
      }
      const { index, json } = call;
      const isBroken = json.trim() !== '' && parseJson(json) === undefined;
      const rest = json.trim() === '' ? '{}' : isBroken && !isCut ? missingEnd(json) : undefined;
      if (isBroken && rest === undefined) {
        areAllComplete = false;
        continue;
      }
      if (rest !== undefined) events.push({ type: 'tool-call-delta', index, json: rest });
      events.push({ type: 'tool-call-end', index, ...(isBroken && { repaired: true }) });
    }
    return areAllComplete;
  }

  #append(call: Call, json: string): InferenceEvent[] {
    if (!call.isStarted && call.name === '') {
      call.json += json;
      return [];
    }
    const events: InferenceEvent[] = [];
    let fragment = json;
    if (!call.isStarted) {
      call.isStarted = true;
      call.index = this.#started++;
      fragment = call.json + json;
      call.json = '';
      events.push(this.#start(call));
    }
    call.json += fragment;
    if (fragment !== '') events.push({ type: 'tool-call-delta', index: call.index, json: fragment });
    return events;
  }

  #start(call: Call): InferenceEvent {
    const id = this.#clientId(call);
    this.#ids.add(id);
    const signature = call.signature === undefined ? {} : { thoughtSignature: call.signature };
    return { type: 'tool-call-start', index: call.index, id, name: call.name, ...signature };
  }

  #clientId({ wireId, index }: Call): string {
    if (wireId === undefined) return `${this.#idPrefix}_${index}`;
    const id = /^[A-Za-z0-9_-]{1,40}$/.test(wireId)
      ? wireId
      : `call_${createHash('sha256').update(wireId).digest('hex').slice(0, 32)}`;
    return this.#ids.has(id) ? `${this.#idPrefix}_${index}` : id;
  }

  #callFor(wireIndex: number | undefined, id: string | undefined, name: string | undefined): Call {
    const known = this.#known(wireIndex, id, name);
    if (known !== undefined) return known;
    const call: Call = {
      index: -1,
      wireIndex,
      wireId: id,
      name: '',
      signature: undefined,
      isStarted: false,
      json: '',
    };
    this.#calls.push(call);
    return call;
  }

  #known(wireIndex: number | undefined, id: string | undefined, name: string | undefined): Call | undefined {
    if (wireIndex === undefined) {
      if (id !== undefined) return this.#calls.find((call) => call.wireId === id);
      return name === undefined ? this.#calls.at(-1) : undefined;
    }
    const call = this.#calls.findLast((call) => call.wireIndex === wireIndex);
    // Another id under the same index, with a name of its own: a server that gives every call index 0.
    const isOther = id !== undefined && name !== undefined && call?.wireId !== undefined && call.wireId !== id;
    return isOther ? this.#calls.find(({ wireId }) => wireId === id) : call;
  }
}

function indexOf(delta: JsonObject): number | undefined {
  const { index } = delta;
  return typeof index === 'number' ? index : undefined;
}

function nonEmpty(value: JsonValue | undefined): string | undefined {
  return typeof value === 'string' && value !== '' ? value : undefined;
}

function argumentsOf(value: JsonValue | undefined): string {
  if (typeof value === 'string') return value;
  return isJsonObject(value) ? JSON.stringify(value) : '';
}

/** Google's layer carries the state of a thought beside the call. */
function signatureOf(delta: JsonObject): string | undefined {
  const extra = delta['extra_content'];
  const google = isJsonObject(extra) ? extra['google'] : undefined;
  return isJsonObject(google) ? nonEmpty(google['thought_signature']) : undefined;
}
