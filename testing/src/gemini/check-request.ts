import { checkContents } from './check-contents.ts';
import { checkFields, isObject } from './check-fields.ts';
import { checkGeneration } from './check-generation.ts';
import { checkJsonSchema, checkNativeSchema } from './check-schema.ts';
import type { FakeModel } from './fake-models.ts';

/** Why Gemini would answer 400 to this body; `undefined` when it takes it. `takesIds` is false on Vertex AI. */
export function checkRequest(body: unknown, model: FakeModel, takesIds: boolean): string | undefined {
  const fault = checkFields(body, 'GenerateContentRequest');
  if (fault !== undefined || !isObject(body)) return fault ?? 'The body must be an object.';
  const declarations = declarationsOf(body['tools']);
  return (
    checkContents(body['contents'], model, takesIds) ??
    checkDeclarations(declarations, model) ??
    checkCalling(body, declarations, model) ??
    checkGeneration(body['generationConfig'], declarations.length > 0, model)
  );
}

type Declaration = Readonly<Record<string, unknown>>;

/** The function declarations of a request. */
export function declarationsOf(tools: unknown): Declaration[] {
  return (Array.isArray(tools) ? tools : [])
    .filter(isObject)
    .flatMap((tool) => (Array.isArray(tool['functionDeclarations']) ? tool['functionDeclarations'] : []))
    .filter(isObject);
}

function checkDeclarations(declarations: readonly Declaration[], model: FakeModel): string | undefined {
  const names = declarations.map(({ name }) => name);
  if (new Set(names).size < names.length) return 'Duplicate function declaration found.';
  for (const [index, declaration] of declarations.entries()) {
    const fault = checkDeclaration(declaration, `tools[0].function_declarations[${index}]`, model);
    if (fault !== undefined) return fault;
  }
  return undefined;
}

function checkDeclaration(declaration: Declaration, path: string, model: FakeModel): string | undefined {
  const { name, parameters, parametersJsonSchema } = declaration;
  if (typeof name !== 'string' || !/^[A-Za-z_][A-Za-z0-9_.:-]{0,63}$/.test(name))
    return `${path}.name: Invalid function name.`;
  if (parameters !== undefined && parametersJsonSchema !== undefined)
    return `${path}: parameters and parameters_json_schema exclude each other.`;
  if (parametersJsonSchema !== undefined) {
    if (model.generation < 2.5) return `${path}.parameters_json_schema: not supported for this model.`;
    const isObjectSchema = isObject(parametersJsonSchema) && parametersJsonSchema['type'] === 'object';
    return isObjectSchema ? checkJsonSchema(parametersJsonSchema, path) : `${path}: parameters must be an object.`;
  }
  if (parameters === undefined) return undefined;
  const isObjectSchema = isObject(parameters) && parameters['type'] === 'OBJECT';
  return isObjectSchema
    ? checkNativeSchema(parameters, `${path}.parameters`)
    : `${path}: parameters must be an object.`;
}

function checkCalling(body: Declaration, declarations: readonly Declaration[], model: FakeModel): string | undefined {
  const config = isObject(body['toolConfig']) ? body['toolConfig']['functionCallingConfig'] : undefined;
  if (!isObject(config)) return undefined;
  if (declarations.length === 0) return 'Function calling config is set without function_declarations.';
  if (config['mode'] === 'VALIDATED' && model.generation < 2.5)
    return 'Mode VALIDATED is not supported for this model.';
  const allowed: unknown = config['allowedFunctionNames'];
  if (!Array.isArray(allowed)) return undefined;
  if (config['mode'] !== 'ANY' && config['mode'] !== 'VALIDATED') return 'allowed_function_names needs the mode ANY.';
  const stray = allowed.find((name: unknown) => !declarations.some((declaration) => declaration['name'] === name));
  return stray === undefined ? undefined : `allowed_function_names: ${String(stray)} is not declared.`;
}
