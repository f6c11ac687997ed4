// Rules say `then` in the file, and nobody awaits one.
/* oxlint-disable unicorn/no-thenable */
import * as z from 'zod';
import { linearPattern } from '../core/linear-pattern.ts';
import { weekdays } from '../core/routing.ts';
import { camelKeys } from './camel-keys.ts';

const glob = z.string().min(1).max(200);
const globs = z.record(z.string().min(1).max(100), glob);
const share = z.number().min(0).max(1);
const target = z.string().min(1).max(63);

const when = z
  .strictObject({
    key: glob.exactOptional().describe("Name or id of the client's key."),
    model: glob.exactOptional().describe('Model as it was asked for.'),
    header: globs.exactOptional().describe('Headers of the request, by name.'),
    metadata: globs.exactOptional().describe('`metadata` of the request, by name.'),
    tools: z.boolean().exactOptional().describe('Whether the request offers tools or holds calls.'),
    prompt_tokens: z
      .strictObject({ min: z.int().min(0).exactOptional(), max: z.int().min(0).exactOptional() })
      .exactOptional()
      .describe('Size of the prompt, both ends included.'),
    content: z
      .string()
      .min(1)
      .max(1_000)
      .superRefine((source, context) => {
        try {
          linearPattern(source);
        } catch (error) {
          const why = error instanceof Error ? error.message : 'it cannot be read';
          context.addIssue({ code: 'custom', message: `must be a pattern of RE2 (${why})` });
        }
      })
      .exactOptional()
      .describe('A pattern of RE2 that the text of any message matches; `(?i)` ignores case.'),
    hours: z
      .string()
      .regex(/^([01]\d|2[0-3]):[0-5]\d-([01]\d|2[0-3]):[0-5]\d$/, 'must be of the form "08:00-18:00"')
      .exactOptional()
      .describe("Time of day in the router's zone; the end is not included, and may be past midnight."),
    days: z.array(z.enum(weekdays)).min(1).exactOptional().describe('Days of the week.'),
  })
  .transform(camelKeys);

const then = z
  .strictObject({
    require: target.exactOptional().describe('`local`, `cloud` or a backend: nothing else may answer.'),
    prefer: target.exactOptional().describe('`local`, `cloud` or a backend: it is asked first.'),
    forbid: target.exactOptional().describe('`local`, `cloud` or a backend: it is not asked.'),
    lane: z.literal('background').exactOptional().describe('It waits until nobody else does.'),
    goal: z
      .strictObject({ quality: share.exactOptional(), risk: share.exactOptional() })
      .refine((goal) => Object.keys(goal).length > 0, 'must say quality or risk')
      .exactOptional()
      .describe('What is wanted of local answers here, as `routing.goal` says it of all; needs labelled answers.'),
  })
  .refine((what) => Object.keys(what).length > 0, 'must say require, prefer, forbid, goal or lane');

/** One rule of the operator. */
export const ruleSchema = z.strictObject({
  name: z
    .string()
    .regex(/^[A-Za-z0-9][\w.-]{0,62}$/, 'must be letters, digits, dots, dashes or underscores, at most 63')
    .describe('Unique; answers, records and `/v1/route` name it.'),
  when: when.prefault({}).describe('All of it must hold; nothing: every request.'),
  then,
});

/** `rules` of the file, in order. */
export const rulesSchema = z.array(ruleSchema).max(200);

/** As `z.output` gives it, and read-only. */
type Output = z.output<typeof ruleSchema>;

export interface Rule {
  readonly name: string;
  readonly when: Readonly<Omit<Output['when'], 'days'>> & { readonly days?: readonly (typeof weekdays)[number][] };
  readonly then: Readonly<Output['then']>;
}
