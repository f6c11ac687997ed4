import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, test } from 'node:test';
import { deviceVectors } from '@lfo/testing/device-vectors.ts';
import * as z from 'zod';
import { modelCapabilities } from './messages/device-messages.ts';
import { deviceMessages, routerMessages } from './messages/messages.ts';
import { byeCodes, errorCodes, pauseCodes } from './messages/shapes.ts';
import { refusalCodes } from './noise/handshake-wire.ts';

const root = join(import.meta.dirname, '../../..');
const page = readFileSync(join(root, 'docs/device-protocol.md'), 'utf8');

/** Words in back quotes after some words, up to an end. */
function codesAfter(start: string, end: string): readonly string[] {
  const from = page.indexOf(start);
  assert.notEqual(from, -1, start);
  const to = page.indexOf(end, from + start.length);
  return Array.from(page.slice(from + start.length, to).matchAll(/`([a-z_]+)`/g), ([, code = '']) => code);
}

function tableRows(head: string): readonly (readonly string[])[] {
  const [, , ...lines] = page.slice(page.indexOf(head)).split('\n\n', 1)[0]?.split('\n') ?? [];
  return lines.map((line) => line.split(' | ').map((cell) => cell.replace(/^\| | \|$/g, '')));
}

describe('the page for those who write another host', () => {
  test('shows the bytes of the vectors', () => {
    const { transcripts } = deviceVectors(
      'handshakes',
      z.object({
        transcripts: z.array(z.object({ name: z.string(), frames: z.array(z.string()), handshake_hash: z.string() })),
      }),
    );
    for (const name of ['known-device-dials', 'pair-device-dials']) {
      const transcript = transcripts.find((each) => each.name === name);
      assert.ok(transcript !== undefined, name);
      for (const frame of transcript.frames) assert.ok(page.includes(` ${frame}\n`), frame);
      assert.ok(page.includes(`hash ${transcript.handshake_hash}`));
    }
  });

  test('names every message of each direction', () => {
    const rows = tableRows('| from | `t` | fields |');
    const named = (...from: readonly string[]): Set<string> =>
      new Set(rows.flatMap(([who = '', type = '']) => (from.includes(who) ? [type.replaceAll('`', '')] : [])));
    assert.deepEqual(named('device', 'both'), new Set(deviceMessages.types));
    assert.deepEqual(named('router', 'both'), new Set(routerMessages.types));
  });

  test('names every code, ability and file of vectors', () => {
    assert.deepEqual(codesAfter('one clear frame, `lfo/1!` and a code: ', 'Nobody has signed'), [...refusalCodes]);
    assert.deepEqual(codesAfter('- `bye` codes: ', '\n- '), [...byeCodes]);
    const withoutOptions = codesAfter('- `error` codes: ', '\n- ').filter((code) => code !== 'retry_after_ms');
    assert.deepEqual(withoutOptions.toSorted(), [...errorCodes].toSorted());
    assert.deepEqual(codesAfter('- `state.code` while `accepting` is false: ', '\n\n'), [...pauseCodes]);
    assert.deepEqual(codesAfter('ctx, caps (', ')'), [...modelCapabilities]);
    const files = readdirSync(join(root, 'testing/device-protocol')).filter((file) => file.endsWith('.json'));
    assert.deepEqual(
      tableRows('| file | shows |')
        .map(([file = '']) => file.replaceAll('`', ''))
        .toSorted(),
      files,
    );
  });

  test('has the bounds of the vectors', () => {
    const { bounds } = deviceVectors(
      'trust',
      z.object({ bounds: z.record(z.string(), z.union([z.number(), z.tuple([z.number(), z.number()])])) }),
    );
    const shown = Object.fromEntries(tableRows('| field | bound |'));
    const wanted = Object.entries(bounds).map(([field, bound]) => [
      field,
      typeof bound === 'number' ? String(bound) : bound.join(' to '),
    ]);
    assert.deepEqual(shown, Object.fromEntries(wanted));
  });

  test('gives examples that are taken whole', () => {
    let read = 0;
    for (const [, from, lines = ''] of page.matchAll(/```json (device|router)\n([^`]*)```/g)) {
      for (const line of lines.trim().split('\n')) {
        const reader = from === 'device' ? deviceMessages : routerMessages;
        const taken = reader.read(JSON.parse(line));
        assert.ok('message' in taken && taken.clipped.length === 0, line);
        read++;
      }
    }
    assert.ok(read >= 6);
  });
});
