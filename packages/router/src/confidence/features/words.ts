/**
 * Stems of the words that carry content, in order, with repetitions: camelCase, `_` and digits split, lower case, English
 * stop words and request words dropped, suffixes stripped. Scripts without spaces give pairs of characters. Numbers are
 * left to `numbersIn`.
 */
export function stemsOf(text: string): readonly string[] {
  const stems: string[] = [];
  for (const [word] of text.replaceAll(camelCase, '$1 $2').matchAll(wordPattern)) {
    if (unspaced.test(word)) {
      const characters = Array.from(word);
      for (let index = 0; index + 1 < characters.length; index += 1)
        stems.push(`${characters[index]}${characters[index + 1]}`);
      if (characters.length === 1) stems.push(word);
      continue;
    }
    const lower = word.toLowerCase();
    if (lower.length > 1 && !functionWords.has(lower) && !requestWords.has(lower)) stems.push(stem(lower));
  }
  return stems;
}

/**
 * Share 0..1 of English function words among the words of a text; about .4 in English, near 0 in other languages.
 * Undefined for texts of fewer than four words that have none: too short to tell.
 */
export function englishShare(text: string): number | undefined {
  let words = 0;
  let known = 0;
  for (const [word] of text.matchAll(wordPattern)) {
    words += unspaced.test(word) ? Math.ceil(word.length / 2) : 1;
    known += Number(functionWords.has(word.toLowerCase()) || requestWords.has(word.toLowerCase()));
  }
  return words < 4 && known === 0 ? undefined : known / words;
}

/** Whether a text has letters of a script other than Latin. */
export function hasOtherScript(text: string): boolean {
  return otherScript.test(text);
}

/** Numbers of a text: digits with separators, percentages also as shares, `k`, thousands, millions, and number words. */
export function numbersIn(text: string): ReadonlySet<number> {
  const numbers = new Set<number>();
  for (const match of text.matchAll(numberPattern)) {
    const value = Number((match[1] ?? '').replaceAll(',', ''));
    if (!Number.isFinite(value)) continue;
    numbers.add(value);
    const unit = match[2]?.trim().toLowerCase();
    if (unit === '%' || unit?.startsWith('percent') === true) numbers.add(value / 100);
    const factor = unit === undefined ? undefined : factors.get(unit);
    if (factor !== undefined) numbers.add(value * factor);
  }
  for (const [word] of text.toLowerCase().matchAll(/[a-z]+/g)) {
    const value = numberWords.get(word);
    if (value !== undefined) numbers.add(value);
  }
  return numbers;
}

/** Months named in a text, 1..12. */
export function monthsIn(text: string): ReadonlySet<number> {
  const months = new Set<number>();
  for (const [word] of text.toLowerCase().matchAll(/[a-z]+/g)) {
    const index = monthNames.findIndex((name) => word === name || (word.length === 3 && name.startsWith(word)));
    if (index >= 0) months.add(index + 1);
  }
  return months;
}

/** Lower case, separators as single spaces: what two spellings of one value share. */
export function plain(text: string): string {
  return text
    .toLowerCase()
    .replaceAll(/[\s_\-.,;:'"“”’/()]+/g, ' ')
    .trim();
}

/** Character 3- to 5-grams with their counts; at most the first 2,000 characters. */
export function gramsOf(text: string): ReadonlyMap<string, number> {
  const grams = new Map<string, number>();
  const source = ` ${plain(text).slice(0, maxGramChars)} `;
  for (let size = 3; size <= 5; size += 1) {
    for (let index = 0; index + size <= source.length; index += 1) {
      const gram = source.slice(index, index + size);
      grams.set(gram, (grams.get(gram) ?? 0) + 1);
    }
  }
  return grams;
}

/** Cosine 0..1 of two bags of grams, counts as logarithms. */
export function cosine(one: ReadonlyMap<string, number>, other: ReadonlyMap<string, number>): number {
  const [small, large] = one.size < other.size ? [one, other] : [other, one];
  let dot = 0;
  for (const [gram, count] of small) {
    const match = large.get(gram);
    if (match !== undefined) dot += Math.log1p(count) * Math.log1p(match);
  }
  return dot === 0 ? 0 : dot / Math.sqrt(squares(one) * squares(other));
}

function squares(grams: ReadonlyMap<string, number>): number {
  let sum = 0;
  for (const count of grams.values()) sum += Math.log1p(count) ** 2;
  return sum;
}

/** Coarse on purpose: only equality counts. */
export function stem(word: string): string {
  let base = word;
  if (base.length > 4 && base.endsWith('ies')) base = `${base.slice(0, -3)}y`;
  else if (base.length > 3 && base.endsWith('s') && !/[sui]s$/.test(base)) base = base.slice(0, -1);
  if (base.length > 5 && base.endsWith('ing')) base = base.slice(0, -3);
  else if (base.length > 4 && base.endsWith('ed')) base = base.slice(0, -2);
  else if (base.length > 5 && base.endsWith('ly')) base = base.slice(0, -2);
  if (base.length > 6 && base.endsWith('ation')) base = base.slice(0, -5);
  else if (base.length > 6 && base.endsWith('ion')) base = base.slice(0, -3);
  if (base.length > 3 && base.endsWith('e')) base = base.slice(0, -1);
  if (base.length > 3 && base.at(-1) === base.at(-2)) base = base.slice(0, -1);
  return base;
}

const camelCase = /(\p{Ll})(\p{Lu})/gu;
const wordPattern = /\p{L}[\p{L}\p{M}]*/gu;
const unspaced = /[\p{sc=Han}\p{sc=Hiragana}\p{sc=Katakana}\p{sc=Thai}\p{sc=Lao}\p{sc=Khmer}]/u;
const otherScript = /(?!\p{sc=Latin})\p{L}/u;
const numberPattern = /(\d[\d,]*(?:\.\d+)?)(\s?%|\s?percent\w*|\s?(?:k|thousand|m|million|billion|dozen)\b)?/gi;
const factors = new Map([
  ['k', 1e3],
  ['thousand', 1e3],
  ['m', 1e6],
  ['million', 1e6],
  ['billion', 1e9],
  ['dozen', 12],
]);
const numberWords = new Map<string, number>(
  (
    'zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen ' +
    'seventeen eighteen nineteen twenty'
  )
    .split(' ')
    .map((word, index) => [word, index] as const)
    .concat([
      ['half', 0.5],
      ['once', 1],
      ['twice', 2],
      ['double', 2],
      ['triple', 3],
      ['first', 1],
      ['second', 2],
      ['third', 3],
      ['thirty', 30],
      ['forty', 40],
      ['fifty', 50],
      ['sixty', 60],
      ['hundred', 100],
      ['thousand', 1_000],
      ['million', 1_000_000],
    ]),
);
const monthNames = 'january february march april may june july august september october november december'.split(' ');
const functionWords = new Set(
  (
    'a about above after again against all also am an and any are as at be because been before being below between both ' +
    'but by can could did do does doing down during each either few for from further had has have having he her here ' +
    'hers him his how i if in into is it its itself just me more most my no nor not now of off on once only or other ' +
    'our out over own same she should so some such than that the their them then there these they this those through ' +
    'to too under until up upon us very was we were what when where which while who whom whose why will with within ' +
    'without would you your'
  ).split(' '),
);
/** How people ask, whatever they ask for. */
const requestWords = new Set(
  (
    'please kindly get give show find tell help need want like know let lets make using use used hi hello hey thanks ' +
    "thank may might must shall able i'm provide"
  ).split(' '),
);
const maxGramChars = 2_000;
