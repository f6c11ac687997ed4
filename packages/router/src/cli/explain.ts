import type { JsonObject, JsonValue } from '../core/json.ts';
import { isJsonObject } from '../core/json.ts';
import type { RouterClient } from './router-client.ts';
import { coloursFor, exitCodes, plainText, printLine, type Terminal } from './terminal.ts';

/** Asks a running LFO where a prompt would go, and why; nothing is run. */
export async function explain(
  terminal: Terminal,
  client: RouterClient,
  promptText: string,
  options: { readonly mode: string; readonly json: boolean },
): Promise<number> {
  const body = { messages: [{ role: 'user', content: promptText }], metadata: { mode: options.mode } };
  const answer = await client.post('/v1/route', body);
  if (options.json) printLine(terminal, JSON.stringify(answer));
  else for (const line of describe(answer, terminal)) printLine(terminal, line);
  return exitCodes.done;
}

function describe(answer: JsonObject, terminal: Terminal): string[] {
  const colours = coloursFor(terminal);
  const route = answer['route'];
  const attempts = list(answer['attempts']).map((attempt) =>
    [word(attempt['tier']), word(attempt['backend']), attempt['gated'] === true ? '(judged)' : '']
      .filter(Boolean)
      .join(' '),
  );
  return [
    `${colours.bold(typeof route === 'string' ? route : 'nowhere')}: ${word(answer['explanation']) || word(answer['routing_reason'])}`,
    `  reason     ${word(answer['routing_reason'])}`,
    `  prompt     ${answer['prompt_tokens_from'] === 'bound' ? '≤ ' : answer['prompt_tokens_from'] === 'estimate' ? 'about ' : ''}${word(answer['prompt_tokens'])} tokens`,
    `  threshold  ${word(answer['threshold'])}${fromOf(answer)}`,
    ...list(answer['goals']).map((goal) => `  goal       ${goalLine(goal)}`),
    ...(attempts.length > 0 ? [`  attempts   ${attempts.join(', then ')}`] : []),
    ...list(answer['rules']).map((rule) => `  rule       ${word(rule['name'])}: ${ruleSays(rule)}`),
    ...list(answer['skipped']).map((skipped) => `  skipped    ${word(skipped['backend'])}: ${word(skipped['why'])}`),
  ];
}

function ruleSays(rule: JsonObject): string {
  const goal = ['quality', 'risk'].flatMap((name) => (name in rule ? [`${name} ${word(rule[name])}`] : [])).join(', ');
  const what = word(rule['backend']) || word(rule['tier']) || word(rule['lane']) || goal;
  return [word(rule['vote']), what].join(' ');
}

function fromOf(answer: JsonObject): string {
  const goal = word(answer['binding_goal']);
  const from = word(answer['threshold_from']);
  if (goal !== '') return ` (goal ${goal})`;
  return from === '' ? '' : ` (${from})`;
}

const states: Readonly<Record<string, string>> = {
  binds: 'binds',
  held: 'another goal is stricter',
  unreachable: 'out of reach',
  learning: 'waits for prices and traffic',
};

function goalLine(goal: JsonObject): string {
  const { goal: name, target, state, estimate, labels, needs } = goal;
  const stands = typeof estimate === 'number' ? `, now ${estimate}` : '';
  const said =
    state === 'too_few_labels' ? `${word(labels)} labels, needs ${word(needs)}` : (states[word(state)] ?? word(state));
  return `${word(name)} ${word(target)}: ${said}${stands}`;
}

function list(value: JsonValue | undefined): readonly JsonObject[] {
  return Array.isArray(value) ? value.filter(isJsonObject) : [];
}

function word(value: JsonValue | undefined): string {
  return typeof value === 'string' || typeof value === 'number' ? plainText(String(value)) : '';
}
