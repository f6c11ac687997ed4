const open = '<think>';
const close = '</think>';

/** A segment of an answer: the model's thinking aloud, or what it says. */
export interface Segment {
  readonly k: 'text' | 'reasoning';
  readonly text: string;
}

/** Separates the thinking an answer may begin with, between `<think>` tags, from the answer itself. */
export class ReasoningSplitter {
  #state: 'start' | 'inside' | 'after';
  #buffer = '';

  /** `isInside`: the prompt already opened the tag, as some templates do. */
  constructor(isInside: boolean) {
    this.#state = isInside ? 'inside' : 'start';
  }

  /** Whether the model thinks aloud. */
  get isInside(): boolean {
    return this.#state === 'inside';
  }

  /** Whether text waits for what follows. */
  get isHolding(): boolean {
    return this.#buffer !== '';
  }

  push(text: string): Segment[] {
    if (this.#state === 'after' && this.#buffer === '') return segment('text', text);
    this.#buffer += text;
    if (this.#state === 'start' && !this.#hasStarted()) return [];
    const reasoning = this.#state === 'inside' ? this.#readInside() : [];
    return [...reasoning, ...this.#readAfter()];
  }

  /** What was held: part of a tag that never came. */
  end(): Segment[] {
    const held = segment(this.#state === 'inside' ? 'reasoning' : 'text', this.#buffer);
    this.#buffer = '';
    return held;
  }

  /** Whether it is clear what the answer begins with. */
  #hasStarted(): boolean {
    const begin = this.#buffer.trimStart();
    if (begin.startsWith(open)) {
      this.#state = 'inside';
      this.#buffer = begin.slice(open.length).replace(/^\n/, '');
    } else if (open.startsWith(begin)) return false;
    else this.#state = 'after';
    return true;
  }

  #readInside(): Segment[] {
    const end = this.#buffer.indexOf(close);
    const certain = end < 0 ? this.#buffer.length - heldLength(this.#buffer) : end;
    const reasoning = segment('reasoning', this.#buffer.slice(0, certain));
    this.#buffer = this.#buffer.slice(end < 0 ? certain : end + close.length);
    if (end >= 0) this.#state = 'after';
    return reasoning;
  }

  #readAfter(): Segment[] {
    if (this.#state !== 'after') return [];
    const text = this.#buffer;
    this.#buffer = '';
    return segment('text', text);
  }
}

/** Length of the longest end of the text that may begin the closing tag. */
function heldLength(text: string): number {
  for (let length = Math.min(text.length, close.length - 1); length > 0; length -= 1) {
    if (text.endsWith(close.slice(0, length))) return length;
  }
  return 0;
}

function segment(k: Segment['k'], text: string): Segment[] {
  return text === '' ? [] : [{ k, text }];
}
