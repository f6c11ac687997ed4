import assert from 'node:assert/strict';
import { test } from 'node:test';
import { chatRequest } from '@lfo/testing/chat-request.ts';
import type { Message } from '../core/request.ts';
import { beginTrace } from '../core/trace.ts';
import { PrefixReuse } from './prefix-reuse.ts';

const prose = 'The words of a long prompt, line after line. '.repeat(200);

function turns(...texts: readonly string[]): readonly Message[] {
  return texts.map((text, i) => ({
    role: i % 2 === 0 ? 'user' : 'assistant',
    content: [{ type: 'text', text }],
    toolCalls: [],
  }));
}

function follow() {
  const warned: object[] = [];
  const reuse = new PrefixReuse({ warn: (fields: object) => void warned.push(fields) });
  const share = (messages: readonly Message[], sessionKey: string | undefined): number | undefined => {
    const request = chatRequest({ messages, hints: { mode: 'auto', ...(sessionKey !== undefined && { sessionKey }) } });
    const trace = beginTrace(request, { startMs: 0, startedAtMs: 0 }, 0.7);
    reuse.begin(request, trace);
    return trace.prefixReuse;
  };
  return { share, warned };
}

test('a turn shares what the turn before it began with', () => {
  const { share, warned } = follow();
  assert.equal(share(turns(prose), 'one'), undefined);
  assert.ok((share(turns(prose, 'Yes.', 'And now?'), 'one') ?? 0) > 0.98);
  assert.equal(share(turns(prose), 'one'), 1);
  assert.equal(share(turns(prose), 'two'), undefined);
  assert.equal(share(turns(prose), undefined), undefined);
  assert.deepEqual(warned, []);
});

test('a session that begins anew is warned of once, by the place and not by its words', () => {
  const { share, warned } = follow();
  share(turns(`1 ${prose}`), 'one');
  assert.equal(share(turns(`2 ${prose}`), 'one'), 0);
  assert.equal(share(turns(`3 ${prose}`), 'one'), 0);
  assert.equal(warned.length, 1);
  assert.doesNotMatch(JSON.stringify(warned), /words/);
  assert.match(JSON.stringify(warned), /messages\[0\] \(user\)/);
});

test('a side conversation of a session does not hide its own', () => {
  const { share } = follow();
  share(turns(prose), 'one');
  share(turns(`Title: ${prose}`), 'one');
  assert.ok((share(turns(prose, 'Yes.', 'Go on.'), 'one') ?? 0) > 0.98);
});
