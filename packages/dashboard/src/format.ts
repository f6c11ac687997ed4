const none = '–';
const whole = new Intl.NumberFormat(undefined, { maximumFractionDigits: 0 });
const tenths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 1, maximumFractionDigits: 1 });
const hundredths = new Intl.NumberFormat(undefined, { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const clockTime = new Intl.DateTimeFormat(undefined, { timeStyle: 'medium', hourCycle: 'h23' });
const fullTime = new Intl.DateTimeFormat(undefined, { dateStyle: 'full', timeStyle: 'long', hourCycle: 'h23' });
const hourMinute = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit', hourCycle: 'h23' });
const dayOnly = new Intl.DateTimeFormat(undefined, { month: 'short', day: 'numeric' });
const longDay = new Intl.DateTimeFormat(undefined, { weekday: 'long', day: 'numeric', month: 'long' });
const dayTime = new Intl.DateTimeFormat(undefined, {
  month: 'short',
  day: 'numeric',
  hour: '2-digit',
  minute: '2-digit',
  hourCycle: 'h23',
});

/** `840 ms`, `1.24 s`, `2 min 5 s`. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return none;
  if (ms < 10) return `${tenths.format(ms)} ms`;
  if (ms < 1_000) return `${whole.format(ms)} ms`;
  if (ms < 10_000) return `${hundredths.format(ms / 1_000)} s`;
  if (ms < 60_000) return `${tenths.format(ms / 1_000)} s`;
  const seconds = Math.round(ms / 1_000);
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** `12,345`; from a hundred thousand on `123.4 k`, then `1.2 M`. */
export function count(value: number | null | undefined): string {
  if (value === null || value === undefined) return none;
  if (value < 100_000) return whole.format(value);
  return value < 999_950 ? `${tenths.format(value / 1e3)} k` : `${tenths.format(value / 1e6)} M`;
}

/** `1.00 s` as `1 s`, `$0.040` as `$0.04`: a scale has no need of the digits that keep other numbers in line. */
export function onScale(text: string): string {
  return text.replace(/(\.\d*?)0+(?!\d)/, '$1').replace(/\.(?!\d)/, '');
}

/** A share 0..1 as `63 %`. */
export function percent(share: number | null | undefined): string {
  return share === null || share === undefined || Number.isNaN(share) ? none : `${whole.format(share * 100)} %`;
}

/** A score 0..1 as `0.84`. */
export function score(value: number | null | undefined): string {
  return value === null || value === undefined ? none : hundredths.format(value);
}

/** The same with as many digits as matter. */
export function scoreExact(value: number): string {
  return value.toLocaleString(undefined, { maximumSignificantDigits: 3 });
}

/** US dollars with as many digits as small sums need. */
export function money(usd: number | null | undefined): string {
  if (usd === null || usd === undefined) return none;
  const digits = usd === 0 || usd >= 1 ? 2 : usd >= 0.01 ? 3 : usd >= 0.001 ? 4 : 6;
  return `$${usd.toFixed(digits)}`;
}

/** `2.4 a second`, `12 a minute`. */
export function perSecond(value: number): string {
  if (value === 0) return 'none';
  if (value < 0.5) return `${tenths.format(value * 60)} a minute`;
  return `${value < 10 ? tenths.format(value) : whole.format(value)} a second`;
}

/** How a number stands beside an earlier one: `+12 %`, `× 8`, `no change`; empty where that says nothing. */
export function change(now: number | null, before: number | null | undefined): string {
  if (now === null || Number.isNaN(now) || before === null || before === undefined || before === 0) return '';
  const by = Math.round((now / before - 1) * 100);
  // Percentages of next to nothing are noise.
  return by >= 400 ? `× ${whole.format(now / before)}` : signed(by, '%');
}

/** How a share stands beside an earlier one: `+3 points`, `no change`; empty where one of them is not known. */
export function changeOfShare(now: number | null, before: number | null): string {
  return now === null || before === null ? '' : signed(Math.round((now - before) * 100), 'points');
}

function signed(by: number, unit: string): string {
  return by === 0 ? 'no change' : `${by > 0 ? '+' : '−'}${whole.format(Math.abs(by))} ${unit}`;
}

/** Tokens a second. */
export function rate(value: number | null | undefined): string {
  return value === null || value === undefined
    ? none
    : `${value < 10 ? tenths.format(value) : whole.format(value)} tok/s`;
}

/** Time of day in the viewer's zone. */
export function timeOfDay(timeMs: number): string {
  return clockTime.format(timeMs);
}

/** Day and time in the viewer's zone, zone included. */
export function fullDate(timeMs: number): string {
  return fullTime.format(timeMs);
}

/** `Monday, 23 November`, in the viewer's zone. */
export function dayName(timeMs: number): string {
  return longDay.format(timeMs);
}

/** Day and time without the year. */
export function dayAndTime(timeMs: number): string {
  return dayTime.format(timeMs);
}

/** `23 Nov, 22:52 – 22:57` */
export function timeSpan(fromMs: number, untilMs: number): string {
  return dayTime.formatRange(fromMs, untilMs);
}

/** The viewer's zone, as `Europe/Zurich`. */
export function timeZone(): string {
  return dayTime.resolvedOptions().timeZone;
}

/** Labels of a time axis whose marks lie `stepMs` apart: times of day, and the day where one begins. */
export function timeMarks(timesMs: readonly number[], stepMs: number): string[] {
  return timesMs.map((timeMs) => {
    const date = new Date(timeMs);
    const isDay = stepMs >= 86_400_000 || (date.getHours() === 0 && date.getMinutes() === 0);
    return (isDay ? dayOnly : hourMinute).format(timeMs);
  });
}

/** `15 min`, `2 h`. */
export function stepLength(stepMs: number): string {
  return stepMs < 3_600_000 ? `${stepMs / 60_000} min` : `${stepMs / 3_600_000} h`;
}

/** `1 request`, `2 requests`. */
export function plural(value: number, noun: string): string {
  return `${count(value)} ${noun}${value === 1 ? '' : 's'}`;
}
