/**
 * Estimates the tokens of a text where no tokenizer is at hand. Classes of characters cost what byte-pair vocabularies
 * of 100,000 to 200,000 entries charge: digits one each, CJK about two thirds, a word one and more when long, runs of
 * punctuation share tokens. Linear; very long texts are sampled, so that the cost stays bounded.
 */
export function estimateTokens(text: string): number {
  if (text.length <= sampleAbove) return Math.ceil(estimateRange(text, 0, text.length));
  let tokens = 0;
  const stride = text.length / samples;
  for (let sample = 0; sample < samples; sample++) {
    const start = Math.floor(sample * stride);
    tokens += estimateRange(text, start, start + sampleChars);
  }
  return Math.ceil((tokens / (samples * sampleChars)) * text.length);
}

type CharClass = 'letter' | 'digit' | 'space' | 'newline' | 'punctuation' | 'cjk' | 'other' | 'surrogate';

function estimateRange(text: string, start: number, end: number): number {
  let tokens = 0;
  let index = start;
  while (index < end) {
    const kind = classOf(text.charCodeAt(index));
    let next = index + 1;
    while (next < end && classOf(text.charCodeAt(next)) === kind) next++;
    tokens += runTokens(kind, next - index, next < end ? classOf(text.charCodeAt(next)) : undefined);
    index = next;
  }
  return tokens;
}

function runTokens(kind: CharClass, length: number, following: CharClass | undefined): number {
  switch (kind) {
    case 'letter':
      return length <= wordChars ? 1 : 1 + (length - wordChars) / longWordChars;
    case 'digit':
      return length;
    case 'space':
      // One space or underscore belongs to the word after it, never to a digit; a run is an indentation.
      return length === 1 && following !== undefined && following !== 'digit' ? 0 : 1;
    case 'newline':
      return 1;
    case 'punctuation':
      return Math.ceil(length / 3);
    case 'cjk':
      return length * 0.7;
    case 'other':
      return length * 0.5;
    default:
      // Two units make one emoji or rare sign of two to three tokens.
      return length * 1.2;
  }
}

function classOf(code: number): CharClass {
  if (code >= 0x61 && code <= 0x7a) return 'letter';
  if (code >= 0x41 && code <= 0x5a) return 'letter';
  if (code >= 0x30 && code <= 0x39) return 'digit';
  if (code === 0x20 || code === 0x09 || code === 0x5f) return 'space';
  if (code === 0x0a || code === 0x0d) return 'newline';
  if (code < 0x80) return 'punctuation';
  if (code < 0x250) return 'letter';
  if (code >= 0xd800 && code <= 0xdfff) return 'surrogate';
  if ((code >= 0x2e80 && code <= 0x9fff) || (code >= 0xac00 && code <= 0xd7af)) return 'cjk';
  if (code >= 0xff00 && code <= 0xffef) return 'cjk';
  return 'other';
}

/** A word up to this long is mostly one token; beyond, one more for each `longWordChars`. */
const wordChars = 9;
const longWordChars = 4;
const sampleAbove = 65_536;
const samples = 16;
const sampleChars = 4_096;
