/** Why a request went where it went. A closed list: numbers and names go beside the code, never into it. */
export const reasons = {
  mode_local: 'The request asked for the local tier.',
  mode_cloud: 'The request asked for the cloud tier.',
  model_pinned: 'The request named a model of one backend.',
  rule: 'A rule of the operator said so.',
  local_first: 'Local first: no rule against it.',
  prompt_too_long: 'The prompt is longer than max_local_tokens.',
  context_too_small: 'The prompt does not fit the context of any local model.',
  first_token_too_late: 'The local model would take too long to read the prompt.',
  spend_limit: 'The money for today is spent: local answers are preferred.',
  spend_hard_limit: 'The hard limit for today is reached: the cloud is asked only by name.',
  expected_gain: 'The local model is not expected to be worth its time here.',
  tool_loop: 'The calls before it came from the cloud, and a loop of calls stays where it is.',
  tools_unsupported: 'No local model takes tools.',
  only_tools: 'The local models answer only requests that offer tools.',
  images_unsupported: 'No local model takes this kind of content.',
  infill_unsupported: 'No local model fills in the middle of a text.',
  json_schema_unsupported: 'No local model enforces a JSON schema.',
  local_unavailable: 'No local backend is ready.',
  local_loading: 'The local model is still loading.',
  local_full: 'Every local backend is busy, and the cloud has room.',
  cloud_not_configured: 'No cloud backend is configured.',
  cloud_unavailable: 'No cloud backend is ready.',
  cloud_unsuitable: 'No cloud backend takes a request of this size or kind.',
  confident: 'The local answer reached the confidence threshold.',
  low_confidence: 'The local answer stayed below the confidence threshold.',
  second_opinion: 'Another local model gave the same answer.',
  no_evidence: 'The local engine gave no scores to judge by.',
  tool_call_invalid: 'The local tool call did not fit its declaration.',
  unknown_tool: 'The local model called a tool that was not declared.',
  tool_call_unparsed: 'The local tool call could not be read.',
  repeated_tool_call: 'The local model repeated a tool call that had been answered.',
  ungrounded_arguments: 'The local tool call invented its arguments.',
  empty_answer: 'The local answer was empty.',
  truncated_answer: 'The local answer was cut off.',
  schema_violation: 'The local answer did not fit the requested schema.',
  engine_handed_off: 'The local engine itself asked for the cloud.',
  hold_limit: 'The gate reached its limit before a verdict.',
  local_failed: 'The local attempt failed.',
  cloud_failed: 'The cloud attempt failed.',
  degraded: 'The cloud gave no answer: the best local answer was given.',
} as const;

export type Reason = keyof typeof reasons;

/** Whether a word out of a database or a query is one of the codes. */
export function isReason(word: string): word is Reason {
  return Object.hasOwn(reasons, word);
}
