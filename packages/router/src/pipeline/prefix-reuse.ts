import { fnvNext, fnvStart } from '../core/fnv1a.ts';
import type { Logger } from '../core/logger.ts';
import { setRecent } from '../core/recent.ts';
import { type ChatRequest, textOf } from '../core/request.ts';
import type { RequestSink } from '../core/sink.ts';
import type { RequestTrace } from '../core/trace.ts';

/** Where a prompt leaves those before it, in the request's own terms; the text itself stays unsaid. */
interface Place {
  /** `tools`, or a message's place and role. */
  readonly part: string;
  /** Characters from the start of the part, to the block of 80. */
  readonly char: number;
}

/** A prompt as one hash for each 80 characters, from its tools to its last message. */
interface Outline {
  readonly blocks: Uint32Array;
  readonly chars: number;
  /** Where each part begins. */
  readonly parts: readonly { readonly name: string; readonly at: number }[];
}

interface Session {
  /** Latest last: an agent's side conversations differ from its own. */
  readonly outlines: Uint32Array[];
  hasWarned: boolean;
}

/**
 * Says of each turn of a session how much of its prompt a model server has just read for the turn before: what is not
 * shared has to be read again. Knows hashes alone, bounded in number and size.
 */
export class PrefixReuse implements RequestSink {
  readonly #log: Pick<Logger, 'warn'>;
  readonly #sessions = new Map<string, Session>();

  constructor(log: Pick<Logger, 'warn'>) {
    this.#log = log;
  }

  begin(request: ChatRequest, trace: RequestTrace): undefined {
    const key = request.hints.sessionKey;
    if (key === undefined) return undefined;
    const outline = outlineOf(request);
    const session = this.#session(key);
    if (session.outlines.length > 0) {
      const shared = Math.max(...session.outlines.map((known) => sharedBlocks(known, outline.blocks)));
      const isWhole = shared === outline.blocks.length;
      trace.prefixReuse = isWhole ? 1 : Math.min(1, (shared * blockChars) / Math.max(1, outline.chars));
      if (trace.prefixReuse < littleShared && outline.blocks.length >= fewBlocks)
        this.#warn(session, trace, outline, shared);
    }
    session.outlines.push(outline.blocks);
    if (session.outlines.length > mostOutlines) session.outlines.shift();
    return undefined;
  }

  /** Once a session: what is wrong with one of its turns is so with all. */
  #warn(session: Session, { id: requestId, prefixReuse }: RequestTrace, outline: Outline, shared: number): void {
    if (session.hasWarned) return;
    session.hasWarned = true;
    const differsAt = placeOf(outline, shared * blockChars);
    this.#log.warn(
      { requestId, prefixReuse, differsAt },
      'the prompt of this session begins anew with each turn, so that no model finds it in its cache',
    );
  }

  #session(key: string): Session {
    const session = this.#sessions.get(key) ?? { outlines: [], hasWarned: false };
    setRecent(this.#sessions, key, session, mostSessions);
    return session;
  }
}

const blockChars = 80;
/** 1.3 million characters of one prompt. */
const mostBlocks = 16_384;
const mostOutlines = 4;
const mostSessions = 500;
const littleShared = 0.05;
/** A prompt of a few lines has nothing to lose. */
const fewBlocks = 50;

function outlineOf(request: ChatRequest): Outline {
  const writer = new OutlineWriter();
  if (request.tools.length > 0) {
    writer.begin('tools');
    writer.add(JSON.stringify(request.tools));
  }
  for (const [i, message] of request.messages.entries()) {
    writer.begin(`messages[${i}] (${message.role})`);
    writer.add(message.role);
    writer.add(textOf(message));
    if (message.role === 'assistant') {
      for (const { name, arguments: json } of message.toolCalls) writer.add(`${name}${json}`);
    }
  }
  return writer.end();
}

/** FNV-1a over each block; a lone pair of equal hashes would shift a share by one block. */
class OutlineWriter {
  readonly #blocks: number[] = [];
  readonly #parts: { name: string; at: number }[] = [];
  #hash = fnvStart;
  #chars = 0;

  begin(name: string): void {
    this.#parts.push({ name, at: this.#chars });
  }

  add(text: string): void {
    let hash = this.#hash;
    let chars = this.#chars;
    for (let i = 0; i < text.length; i++) {
      hash = fnvNext(hash, text.charCodeAt(i));
      if (++chars % blockChars !== 0) continue;
      if (this.#blocks.length < mostBlocks) this.#blocks.push(hash >>> 0);
      hash = fnvStart;
    }
    this.#hash = hash;
    this.#chars = chars;
  }

  end(): Outline {
    return { blocks: Uint32Array.from(this.#blocks), chars: this.#chars, parts: this.#parts };
  }
}

function sharedBlocks(one: Uint32Array, other: Uint32Array): number {
  const most = Math.min(one.length, other.length);
  let shared = 0;
  while (shared < most && one[shared] === other[shared]) shared++;
  return shared;
}

function placeOf({ parts }: Outline, char: number): Place {
  const part = parts.findLast(({ at }) => at <= char);
  return { part: part?.name ?? 'tools', char: char - (part?.at ?? 0) };
}
