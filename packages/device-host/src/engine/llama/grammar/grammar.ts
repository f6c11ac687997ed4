import type { WireTool } from '@lfo/protocol';
import { EngineError, type EngineRequest } from '@lfo/device-core';
import type { AnswerChecks } from '@lfo/device-core/answer';
import { compileValidator } from './json-validation.ts';
import { checkSchemaBounds } from './schema-bounds.ts';
import { literal, SchemaGrammar } from './schema-grammar.ts';

/** How an answer is forced into shape. */
export interface AnswerGrammar extends AnswerChecks {
  /** In llama.cpp's notation. */
  readonly gbnf: string;
}

const maxForcedCalls = 8;
const anyObject = { type: 'object' };

/**
 * The grammar a request asks for through `tool_choice` and `response_format`; undefined when it leaves the model free.
 * `tagged` is whether the model's template writes calls between `<tool_call>` tags. What a schema says beyond the bounds
 * of a grammar, and with `isLoose` all it says, is left to the checks.
 * @throws EngineError `bad_request`
 */
export function answerGrammar(
  request: Pick<EngineRequest, 'tools' | 'toolChoice' | 'responseFormat'>,
  tagged: boolean,
  isLoose = false,
): AnswerGrammar | undefined {
  const forced = forcedTools(request);
  const grammar = new SchemaGrammar(isLoose);
  if (forced !== undefined) return callGrammar(grammar, forced, typeof request.toolChoice === 'object', tagged);
  const format = request.responseFormat;
  if (format === undefined || format.type === 'text') return undefined;
  const schema = format.type === 'json_schema' ? (format.schema ?? anyObject) : anyObject;
  checkSchemaBounds(schema);
  const answer = grammar.add(schema);
  const isOffered = request.tools.length > 0 && request.toolChoice !== 'none';
  const calls = isOffered && tagged ? addCalls(grammar, request.tools, false, true) : undefined;
  const isExact = grammar.isExact;
  return {
    gbnf: grammar.text(calls === undefined ? answer : `${answer} | ${calls.rule}`),
    ...(isExact ? {} : { isValidText: compileValidator(schema) }),
    ...(calls && !isExact ? { isValidCall: calls.isValid } : {}),
  };
}

function forcedTools({
  tools,
  toolChoice,
}: Pick<EngineRequest, 'tools' | 'toolChoice'>): readonly WireTool[] | undefined {
  if (toolChoice === undefined || toolChoice === 'auto' || toolChoice === 'none') return undefined;
  const wanted = toolChoice === 'required' ? tools : tools.filter((tool) => tool.name === toolChoice.name);
  if (wanted.length > 0) return wanted;
  throw new EngineError(
    'bad_request',
    'tool_choice asks for a tool that is not among the tools of the request; add it.',
    false,
  );
}

function callGrammar(
  grammar: SchemaGrammar,
  tools: readonly WireTool[],
  isSingle: boolean,
  tagged: boolean,
): AnswerGrammar {
  const { rule, isValid } = addCalls(grammar, tools, isSingle, tagged);
  return { gbnf: grammar.text(rule), ...(grammar.isExact ? {} : { isValidCall: isValid }) };
}

function addCalls(
  grammar: SchemaGrammar,
  tools: readonly WireTool[],
  isSingle: boolean,
  tagged: boolean,
): { rule: string; isValid: (name: string, args: unknown) => boolean } {
  const checks = new Map<string, (args: unknown) => boolean>();
  const shapes = tools.map((tool) => {
    const schema = { type: 'object', ...tool.parameters };
    checkSchemaBounds(schema);
    checks.set(tool.name, compileValidator(schema));
    return `${literal(`{"name": ${JSON.stringify(tool.name)}, "arguments": `)} ${grammar.add(schema)} "}"`;
  });
  const shape = grammar.rule(shapes.join(' | '));
  const call = tagged ? grammar.rule(`${literal('<tool_call>\n')} ${shape} ${literal('\n</tool_call>')}`) : shape;
  const more = isSingle ? '' : ` ("\\n" ${call}){0,${maxForcedCalls - 1}}`;
  return {
    rule: grammar.rule(`${call}${more}`),
    isValid: (name, args) => checks.get(name)?.(args) ?? false,
  };
}
