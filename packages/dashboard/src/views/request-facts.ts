import type { RequestBody } from '@lfo/router/src/admin/wire.ts';
import { count, duration, money, plural } from '../format.ts';
import { words } from '../parts/evidence.tsx';

type Fact = readonly [name: string, value: string];

/** What is known of a request, by what it is about. */
export function groupsOf({
  request,
  clientKey,
}: RequestBody): readonly (readonly [group: string, facts: readonly Fact[]])[] {
  const { promptTokens, completionTokens, reasoningTokens, cachedTokens, finishReason } = request;
  const optional = (name: string, value: number | null): readonly Fact[] =>
    value === null ? [] : [[name, plural(value, 'token')]];
  const waits: readonly Fact[] =
    request.predictedWaitMs === null
      ? []
      : [
          ['Local first token, predicted', duration(request.predictedWaitMs)],
          ['Local first token, real', request.waitMs === null ? 'not tried' : duration(request.waitMs)],
        ];
  return [
    [
      'Where',
      [
        ['Backend', request.backend ?? 'none'],
        ['Model', request.model ?? 'none'],
        ['Mode', request.mode === null ? 'not known' : `${request.mode}${request.stream ? ', streamed' : ''}`],
        ...(request.device === null ? [] : [['Device', request.device] as const]),
        ...(request.dialect === null ? [] : [['Dialect', request.dialect] as const]),
        ...(request.path === null ? [] : [['Path', request.path] as const]),
        ...(request.router === null ? [] : [['Router', request.router] as const]),
        ['Key', clientKey === null ? 'none' : (clientKey.name ?? clientKey.id)],
        ['End', finishReason === null ? 'no answer' : (finishes[finishReason] ?? words(finishReason))],
      ],
    ],
    [
      'Time',
      [
        ['Whole request', duration(request.totalMs)],
        ['First token', duration(request.firstTokenMs)],
        ['First byte sent', duration(request.committedMs)],
        ['Inside LFO', duration(request.overheadMs)],
        ...waits,
      ],
    ],
    [
      'Tokens',
      [
        promptTokens === null ? ['Prompt', `≤ ${count(request.routedTokens)}`] : ['Prompt', count(promptTokens)],
        ['Completion', count(completionTokens)],
        ...optional('For reasoning', reasoningTokens),
        ...optional('From a cache', cachedTokens),
      ],
    ],
    [
      'Money',
      [
        ['Cost, estimated', request.costUsd === null ? 'no price known' : money(request.costUsd)],
        ['Saved, at list price of the first cloud model', money(request.costAvoidedUsd)],
      ],
    ],
  ];
}

const finishes: Readonly<Record<string, string>> = {
  stop: 'complete',
  length: 'cut at the token limit',
  tool_calls: 'calls tools',
  content_filter: 'stopped by a filter',
};
