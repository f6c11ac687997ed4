import { RequestError } from '../../../core/errors.ts';
import type { CallContext } from '../../../core/backend.ts';
import type { ChatRequest, ToolSpec } from '../../../core/request.ts';
import { warnOfGoogleTools } from '../../../core/unused-fields.ts';
import type { ModelTraits } from './models.ts';
import { toolSite, translateParameters } from './schema.ts';
import type { ToolNames } from './tool-names.ts';
import type { FunctionCallingConfig, FunctionDeclaration, GenerateContentBody } from './wire.ts';

/**
 * Declarations and calling mode, whatever `tool_choice` says; without functions what Google's own servers are to do, which
 * not every model takes beside them.
 */
export function translateTools(
  request: ChatRequest,
  traits: ModelTraits,
  names: ToolNames,
  warn: CallContext['warn'],
): Pick<GenerateContentBody, 'tools' | 'toolConfig'> {
  const { google } = request;
  const isGoogleAsked = google !== undefined && google.tools.length > 0;
  if (request.tools.length === 0 && isGoogleAsked && traits.tools) return { tools: google.tools };
  if (isGoogleAsked) warnOfGoogleTools(google, warn);
  if (request.tools.length === 0) return {};
  if (!traits.tools) {
    throw new RequestError('This model takes no tools; choose a Gemini model or leave the tools out.', {
      param: 'tools',
    });
  }
  const functionDeclarations = request.tools.map((tool, index) => declaration(tool, index, traits, names));
  return {
    tools: [{ functionDeclarations }],
    toolConfig: { functionCallingConfig: callingConfig(request, traits, names) },
  };
}

function declaration(tool: ToolSpec, index: number, traits: ModelTraits, names: ToolNames): FunctionDeclaration {
  const { name, description, parameters } = tool;
  const schema =
    parameters === undefined ? undefined : translateParameters(parameters, traits.toolSchema, toolSite(index, name));
  return {
    name: names.native(name),
    ...(description === undefined ? {} : { description }),
    ...(schema === undefined
      ? {}
      : traits.toolSchema === 'json'
        ? { parametersJsonSchema: schema }
        : { parameters: schema }),
  };
}

function callingConfig(request: ChatRequest, traits: ModelTraits, names: ToolNames): FunctionCallingConfig {
  const choice = request.toolChoice ?? { type: 'auto' };
  const isStrict = traits.validatedCalls && request.tools.some((tool) => tool.strict === true);
  switch (choice.type) {
    case 'none':
      return { mode: 'NONE' };
    case 'required':
      return { mode: 'ANY' };
    case 'auto':
      return { mode: isStrict ? 'VALIDATED' : 'AUTO' };
    default:
      if (!request.tools.some(({ name }) => name === choice.name)) {
        throw new RequestError('tool_choice names a function that is not among the tools.', { param: 'tool_choice' });
      }
      return { mode: 'ANY', allowedFunctionNames: [names.native(choice.name)] };
  }
}
