/** ASCII characters as bits 0..127, everything else as bit 128. */
type CharSet = bigint;

/** Part of a pattern: what it may begin with, what it cannot do without, and the loops it ends in. */
interface Piece {
  readonly first: CharSet;
  readonly isNullable: boolean;
  /** Everything a match may consist of. */
  readonly all: CharSet;
  /** Unbounded loops inside that may swallow all that follows them here. */
  readonly openLoops: readonly CharSet[];
}

const everything: CharSet = (1n << 129n) - 1n;
const empty: Piece = { first: 0n, isNullable: true, all: 0n, openLoops: [] };
/** Repeats up to this often count as bounded. */
const manyRepeats = 8;

/**
 * Whether matching a pattern may take exponential time: a repeated group in which one text can be split in several
 * ways, such as `(a+)+`, `(a|a)*` or `(.*,)*`; `(-[a-z]+)*` is none. Errs towards yes. Linear in the pattern.
 */
export function isAmbiguousPattern(source: string): boolean {
  const reader = new PatternReader(source);
  reader.alternatives();
  return reader.isAmbiguous;
}

/** Recursive descent over the syntax of ECMAScript patterns; what it does not know it takes for literals. */
class PatternReader {
  isAmbiguous = false;
  #at = 0;
  readonly #source: string;

  constructor(source: string) {
    this.#source = source;
  }

  alternatives(): Piece {
    let joined: Piece | undefined;
    let overlaps = false;
    for (;;) {
      const branch = this.#sequence();
      overlaps ||= joined !== undefined && (joined.first & branch.first) !== 0n;
      joined = joined === undefined ? branch : either(joined, branch);
      if (this.#source[this.#at] !== '|') break;
      this.#at++;
    }
    // Branches that begin alike matter only when repeated: remember them as a loop over their common beginning.
    return overlaps ? { ...joined, openLoops: [...joined.openLoops, joined.first] } : joined;
  }

  #sequence(): Piece {
    let sequence = empty;
    while (this.#at < this.#source.length && !'|)'.includes(this.#peek())) {
      sequence = follow(sequence, this.#repeated(this.#atom()));
    }
    return sequence;
  }

  #repeated(piece: Piece): Piece {
    const quantifier = /^(?:[*+?]|\{(\d+)(,?)(\d*)\})\??/.exec(this.#source.slice(this.#at, this.#at + 24));
    if (quantifier === null) return piece;
    this.#at += quantifier[0].length;
    const [text, least, comma, most] = quantifier;
    const isNullable = piece.isNullable || text.startsWith('*') || text.startsWith('?') || Number(least) === 0;
    const upper = comma === ',' && most === '' ? Infinity : Number(most === '' ? least : most);
    const isLoop = text.startsWith('*') || text.startsWith('+') || upper > manyRepeats;
    if (!isLoop) return { ...piece, isNullable };
    if (piece.openLoops.some((loop) => (loop & piece.first) !== 0n)) this.isAmbiguous = true;
    return { first: piece.first, isNullable, all: piece.all, openLoops: [...piece.openLoops, piece.all].slice(0, 64) };
  }

  #atom(): Piece {
    const char = this.#next();
    if (char === '(') return this.#group();
    if (char === '[') return single(this.#charClass());
    if (char === '^' || char === '$') return empty;
    if (char === '.') return single(everything);
    if (char !== '\\') return single(bitOf(char));
    const escaped = this.#next();
    return escaped === 'b' || escaped === 'B' ? empty : single(escapedSet(escaped));
  }

  #group(): Piece {
    const prefix = /^\?(?:[:=!]|<[=!]|<[^>]*>)/.exec(this.#source.slice(this.#at, this.#at + 64))?.[0] ?? '';
    this.#at += prefix.length;
    const inside = this.alternatives();
    this.#at++;
    const isLookaround = /^\?<?[=!]/.test(prefix);
    return isLookaround ? empty : inside;
  }

  #charClass(): CharSet {
    const isNegated = this.#peek() === '^';
    if (isNegated) this.#at++;
    let set: CharSet = 0n;
    while (this.#at < this.#source.length && this.#peek() !== ']') {
      const char = this.#next();
      if (char === '\\') set |= escapedSet(this.#next());
      else if (this.#peek() === '-' && !']'.includes(this.#source[this.#at + 1] ?? ']')) {
        this.#at++;
        set |= rangeOf(char, this.#next());
      } else set |= bitOf(char);
    }
    this.#at++;
    return isNegated ? everything ^ (set & ((1n << 128n) - 1n)) : set;
  }

  #peek(): string {
    return this.#source[this.#at] ?? '';
  }

  #next(): string {
    return this.#source[this.#at++] ?? '';
  }
}

function single(set: CharSet): Piece {
  return { first: set, isNullable: false, all: set, openLoops: [] };
}

function either(a: Piece, b: Piece): Piece {
  return {
    first: a.first | b.first,
    isNullable: a.isNullable || b.isNullable,
    all: a.all | b.all,
    openLoops: [...a.openLoops, ...b.openLoops].slice(0, 64),
  };
}

/** A loop stays open across what it could have swallowed itself. */
function follow(a: Piece, b: Piece): Piece {
  const surviving = b.isNullable ? a.openLoops : a.openLoops.filter((loop) => (loop & b.first) !== 0n);
  return {
    first: a.isNullable ? a.first | b.first : a.first,
    isNullable: a.isNullable && b.isNullable,
    all: a.all | b.all,
    openLoops: [...surviving, ...b.openLoops].slice(0, 64),
  };
}

function bitOf(char: string): CharSet {
  const code = char.charCodeAt(0);
  return 1n << BigInt(Number.isNaN(code) || code > 127 ? 128 : code);
}

function rangeOf(from: string, to: string): CharSet {
  let set: CharSet = to.charCodeAt(0) > 127 ? 1n << 128n : 0n;
  for (let code = from.charCodeAt(0); code <= Math.min(127, to.charCodeAt(0)); code++) set |= 1n << BigInt(code);
  return set;
}

function escapedSet(char: string): CharSet {
  const digits = rangeOf('0', '9');
  const word = digits | rangeOf('a', 'z') | rangeOf('A', 'Z') | bitOf('_');
  const space = rangeOf('\t', '\r') | bitOf(' ') | (1n << 128n);
  if (char === 'd') return digits;
  if (char === 'D') return everything ^ digits;
  if (char === 'w') return word;
  if (char === 'W') return everything ^ word;
  if (char === 's') return space;
  if (char === 'S') return everything ^ rangeOf('\t', '\r') ^ bitOf(' ');
  // \p{…}, \u…, \x…, back-references: could be anything.
  return /[pPuxk1-9]/.test(char) ? everything : bitOf(char);
}
