import { isObject } from './check-fields.ts';
import type { FakeModel } from './fake-models.ts';
import { isValidSignature } from './fake-signatures.ts';

type Part = Readonly<Record<string, unknown>>;

interface Turn {
  readonly role: unknown;
  readonly parts: readonly Part[];
  readonly calls: readonly Part[];
  readonly results: readonly Part[];
}

/** Why the model would refuse these contents, whose fields are known to be right. */
export function checkContents(contents: unknown, model: FakeModel, takesIds: boolean): string | undefined {
  const turns = (Array.isArray(contents) ? contents : []).filter(isObject).map(turnOf);
  if (turns.length === 0) return 'contents are not specified';
  if (turns[0]?.role !== 'user') return 'Please ensure that the first content is of the user.';
  for (const [index, turn] of turns.entries()) {
    const fault = checkTurn(turn, turns[index - 1], turns[index + 1], takesIds);
    if (fault !== undefined) return `contents[${index}]: ${fault}`;
  }
  return checkSignatures(turns, model);
}

function turnOf(content: Readonly<Record<string, unknown>>): Turn {
  const parts = (Array.isArray(content['parts']) ? content['parts'] : []).filter(isObject);
  const members = (name: string): Part[] => parts.map((part) => part[name]).filter(isObject);
  return { role: content['role'], parts, calls: members('functionCall'), results: members('functionResponse') };
}

function checkTurn(
  turn: Turn,
  before: Turn | undefined,
  after: Turn | undefined,
  takesIds: boolean,
): string | undefined {
  if (turn.role !== 'user' && turn.role !== 'model') return 'Please use a valid role: user, model.';
  if (turn.parts.length === 0) return 'parts must not be empty.';
  const odd = turn.parts.map(checkPart).find((fault) => fault !== undefined);
  if (odd !== undefined) return odd;
  const isFollowing = before?.role === turn.role && (turn.role === 'model' || before.results.length === 0);
  if (isFollowing) return 'two contents of one role follow each other.';
  if (turn.results.length > 0) {
    if (turn.results.length < turn.parts.length) return 'a content with function responses holds nothing else.';
    if (before === undefined || before.calls.length === 0)
      return 'function response turn comes immediately after a function call turn.';
    return checkPairs(before.calls, turn.results, takesIds);
  }
  if (turn.calls.length > 0) {
    if (turn.role !== 'model') return "function calls are the model's.";
    if (after === undefined || after.results.length === 0)
      return 'a function call turn needs its function responses right after it.';
  }
  return undefined;
}

const dataMembers = ['text', 'inlineData', 'functionCall', 'functionResponse', 'fileData'];
const mediaTypes =
  /^(image\/(png|jpeg|webp|heic|heif|gif)|audio\/[\w.;=+-]+|video\/\w+|application\/(pdf|json)|text\/\w+)$/;

function checkPart(part: Part): string | undefined {
  const set = dataMembers.filter((name) => part[name] !== undefined);
  if (set.length !== 1) return 'each part must hold exactly one kind of data.';
  if (part['text'] === '') return 'Unable to submit request because it must have a text parameter.';
  const blob = part['inlineData'];
  if (isObject(blob) && !mediaTypes.test(String(blob['mimeType'])))
    return `Unsupported MIME type: ${String(blob['mimeType'])}`;
  return undefined;
}

/** As many results as calls, in their order, of their names; ids where the endpoint knows them. */
function checkPairs(calls: readonly Part[], results: readonly Part[], takesIds: boolean): string | undefined {
  if (calls.length !== results.length) {
    return 'Please ensure that the number of function response parts is equal to the number of function call parts of the function call turn.';
  }
  const ids = calls.map((call) => call['id']).filter((id) => id !== undefined);
  if (!takesIds && (ids.length > 0 || results.some((result) => result['id'] !== undefined)))
    return 'Unknown name "id": Cannot find field.';
  if (new Set(ids).size < ids.length) return 'ids of function calls must be unique.';
  for (const [index, call] of calls.entries()) {
    if (call['name'] !== results[index]?.['name']) return "the name of a function response differs from its call's.";
    if (call['id'] !== results[index]?.['id']) return "the id of a function response differs from its call's.";
  }
  return undefined;
}

/** The current turn begins with the last content in which the user says something. */
function checkSignatures(turns: readonly Turn[], model: FakeModel): string | undefined {
  const start = turns.findLastIndex((turn) => turn.role === 'user' && turn.results.length === 0);
  for (const [index, turn] of turns.entries()) {
    for (const part of turn.parts) {
      const isForged = part['thoughtSignature'] !== undefined && !isValidSignature(part);
      if (isForged) return 'Thought signature is not valid.';
    }
    const first = turn.parts.find((part) => part['functionCall'] !== undefined);
    const isRequired = model.generation === 3 && index > start && first !== undefined;
    if (isRequired && first['thoughtSignature'] === undefined) {
      return 'Function call is missing a thought_signature in functionCall parts.';
    }
  }
  return undefined;
}
