/** A question with an answer of the weak model, as the tables hold it. */
export interface TableRow {
  readonly question: string;
  readonly options: readonly string[];
  readonly category: string;
  /** Empty where only the request is looked at. */
  readonly answer: string;
  /** Length of the whole answer in characters, of which `answer` may be a part. */
  readonly chars: number;
  readonly isCut: boolean;
  /** What the answer gives as its result: a letter or a number. */
  readonly result: string;
  readonly isParsed: boolean;
}

/** What the request says before any answer: its shape. */
export function requestFeatures({ question, options }: TableRow): readonly number[] {
  const words = question.match(/\p{L}+/gu) ?? [];
  const lengths = options.map((option) => option.length);
  const mean = lengths.length === 0 ? 0 : lengths.reduce((sum, length) => sum + length, 0) / lengths.length;
  return [
    Math.log1p(question.length),
    Math.log1p((question.match(/\d+(?:\.\d+)?/g) ?? []).length),
    share(question, /[=+*/^\\<>$]/g),
    question.includes('?') ? 1 : 0,
    words.reduce((sum, word) => sum + word.length, 0) / Math.max(words.length, 1),
    Math.log1p((question.match(/[.?!](?:\s|$)/g) ?? []).length),
    options.length,
    Math.log1p(mean),
    options.length === 0 ? 0 : options.filter((option) => /^[^\p{L}]*\d/u.test(option)).length / options.length,
    options.some((option) => /none of|all of|both/i.test(option)) ? 1 : 0,
    /\bnot\b|\bexcept\b|\bleast\b|_{2,}/i.test(question) ? 1 : 0,
    /\b(?:percent|%|half|twice|times|each|per|ratio|average)\b/i.test(question) ? 1 : 0,
  ];
}

/** What the answer says of itself, without any probability. */
export function answerFeatures(row: TableRow): readonly number[] {
  const { question, options, answer, chars, isCut, result, isParsed } = row;
  const equations = equationsIn(answer);
  const asked = new Set(numbersIn(question));
  const used = numbersIn(answer);
  const final = Number(result);
  const isNumber = result !== '' && Number.isFinite(final);
  const last = used.at(-1);
  const index = result.length === 1 ? 'ABCDEFGHIJ'.indexOf(result) : -1;
  const chosen = options[index] ?? '';
  const reasoning = answer.slice(0, Math.max(0, answer.length - 40));
  return [
    Number(isParsed),
    Math.log1p(chars),
    Number(isCut),
    repeatedShare(answer),
    equations.length,
    equations.filter((holds) => !holds).length,
    equations.length === 0 ? 0 : equations.filter((holds) => !holds).length / equations.length,
    isNumber && used.includes(final) ? used.filter((value) => value === final).length : 0,
    isNumber && last === final ? 1 : 0,
    isNumber && asked.has(final) ? 1 : 0,
    isNumber && Number.isInteger(final) ? 1 : 0,
    isNumber && final < 0 ? 1 : 0,
    isNumber ? Math.log1p(Math.abs(final)) : 0,
    [...asked].filter((value) => !used.includes(value)).length / Math.max(asked.size, 1),
    used.filter((value) => !asked.has(value)).length / Math.max(used.length, 1),
    Math.log1p(used.length),
    (answer.match(hedges) ?? []).length,
    (answer.match(corrections) ?? []).length,
    index,
    chosen === '' ? 0 : sharedWords(chosen, reasoning),
    chosen === ''
      ? 0
      : Math.max(0, ...options.map((option) => (option === chosen ? 0 : sharedWords(option, reasoning)))),
    chosen !== '' && reasoning.includes(chosen) ? 1 : 0,
    options.filter((option) => option.length > 1 && reasoning.includes(option)).length,
    Math.log1p(chosen.length) -
      Math.log1p(options.reduce((sum, option) => sum + option.length, 0) / Math.max(options.length, 1)),
    isNumber || chosen === '' ? 0 : rankOfNumber(chosen, options),
    /\\boxed|\\frac|\$\$/.test(answer) ? 1 : 0,
    answer.trimEnd().endsWith('.') || answer.trimEnd().endsWith('}') || answer.trimEnd().endsWith('`') ? 1 : 0,
    (answer.match(/\n/g) ?? []).length / Math.max(answer.length / 100, 1),
    firstLetterShare(answer),
    /wikipedia/i.test(answer) ? 1 : 0,
  ];
}

/** Hashed 1- and 2-grams of words, unit length, for a linear model. */
export function hashedGrams(text: string, width: number): ReadonlyMap<number, number> {
  const words = text.toLowerCase().match(/\p{L}+|\d+/gu) ?? [];
  const counts = new Map<number, number>();
  const add = (gram: string): void => {
    let hash = 0;
    for (let index = 0; index < gram.length; index += 1) hash = (Math.imul(hash, 31) + gram.charCodeAt(index)) | 0;
    const slot = (hash >>> 0) % width;
    counts.set(slot, 1);
  };
  for (const [index, word] of words.entries()) {
    add(word);
    if (index > 0) add(`${words[index - 1]} ${word}`);
  }
  const norm = Math.sqrt(counts.size) || 1;
  return new Map(Array.from(counts, ([slot, count]) => [slot, count / norm]));
}

function equationsIn(text: string): readonly boolean[] {
  const plain = text.replaceAll(',', '').replaceAll(/[$€£]/g, '');
  return Array.from(
    plain.matchAll(/(-?\d+(?:\.\d+)?)\s*([-+*x×/÷])\s*(-?\d+(?:\.\d+)?)\s*=\s*(-?\d+(?:\.\d+)?)/g),
    ([, left, operator, right, result]) => {
      const [a, b, c] = [Number(left), Number(right), Number(result)];
      const value =
        operator === '+' ? a + b : operator === '-' ? a - b : operator === '/' || operator === '÷' ? a / b : a * b;
      return Math.abs(value - c) <= 0.011 * Math.max(1, Math.abs(c) * 0.1);
    },
  );
}

function numbersIn(text: string): number[] {
  return Array.from(text.matchAll(/\d[\d,]*(?:\.\d+)?/g), ([number]) => Number(number.replaceAll(',', '')));
}

function repeatedShare(text: string): number {
  const words = text.split(/\s+/);
  const seen = new Set<string>();
  let repeated = 0;
  for (let index = 0; index + 4 <= words.length; index += 1) {
    const gram = words.slice(index, index + 4).join(' ');
    if (seen.has(gram)) repeated += 1;
    seen.add(gram);
  }
  return words.length < 4 ? 0 : repeated / (words.length - 3);
}

function sharedWords(option: string, text: string): number {
  const words = option.toLowerCase().match(/\p{L}{3,}|\d+(?:\.\d+)?/gu) ?? [];
  const lower = text.toLowerCase();
  return words.length === 0 ? 0 : words.filter((word) => lower.includes(word)).length / words.length;
}

/** Where the chosen number stands among the options, 0..1; extremes are seldom right. */
function rankOfNumber(chosen: string, options: readonly string[]): number {
  const values = options.map((option) => Number.parseFloat(option.replaceAll(/[^\d.-]/g, '')));
  const own = Number.parseFloat(chosen.replaceAll(/[^\d.-]/g, ''));
  if (!Number.isFinite(own)) return 0.5;
  return values.filter((value) => value < own).length / Math.max(values.length - 1, 1);
}

/** Share of the options that are weighed by their letter. */
function firstLetterShare(text: string): number {
  return new Set(text.match(/\([A-J]\)|\b[A-J]:/g) ?? []).size / 10;
}

function share(text: string, pattern: RegExp): number {
  return (text.match(pattern) ?? []).length / Math.max(text.length, 1);
}

const hedges =
  /\b(?:perhaps|maybe|might|likely|probably|appears?|seems?|assum\w+|approximately|not sure|cannot|unclear|typically|closest)\b/gi;
const corrections = /\b(?:however|but|wait|actually|mistake|correct(?:ion|ed)|instead|none of the)\b/gi;
