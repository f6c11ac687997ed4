import assert from 'node:assert/strict';
import { test } from 'node:test';
import { RequestError } from '../../../core/errors.ts';
import { inlinePart } from './media.ts';

const typeOf = (url: string): string | undefined => inlinePart({ type: 'image', url }, 'p').inlineData?.mimeType;
const base64 = (...bytes: number[]): string => Buffer.from(bytes).toString('base64');
const webp = Buffer.from('RIFF\0\0\0\0WEBPVP8 ', 'latin1').toString('base64');

test('a missing or foreign type is read off the first bytes', () => {
  const images = {
    'image/png': base64(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 0),
    'image/jpeg': base64(0xff, 0xd8, 0xff, 0xe0),
    'image/gif': Buffer.from('GIF89a..').toString('base64'),
    'image/webp': webp,
  };
  for (const [type, data] of Object.entries(images)) {
    for (const head of ['data:;base64,', 'data:application/octet-stream;base64,', 'DATA:;charset=x;base64,']) {
      assert.equal(typeOf(head + data), type);
    }
  }
  assert.equal(typeOf('data:image/jpg;base64,AAAA'), 'image/jpeg');
});

test('base64 of the URL alphabet and with line breaks is sent in the standard one', () => {
  const part = inlinePart({ type: 'image', url: 'data:image/png;base64,-_\n-_' }, 'p');
  assert.equal(part.inlineData?.data, '+/+/');
});

test('percent-encoded data is encoded anew', () => {
  const part = inlinePart({ type: 'image', url: 'data:image/svg+xml,%3Csvg/%3E' }, 'p');
  assert.equal(Buffer.from(part.inlineData?.data ?? '', 'base64').toString(), '<svg/>');
});

test('formats of audio become media types', () => {
  const typeFor = (format: string): string | undefined =>
    inlinePart({ type: 'audio', data: 'AAAA', format }, 'p').inlineData?.mimeType;
  assert.deepEqual(
    ['wav', 'MP3', 'audio/flac', 'pcm16', 'a b'].map((format) => typeFor(format)),
    ['audio/wav', 'audio/mp3', 'audio/flac', 'audio/L16;rate=24000', 'audio/wav'],
  );
});

test('what is empty, broken or of no known type is a 400 that names its place', () => {
  const bad = [
    { type: 'image', url: 'data:image/png;base64,' },
    { type: 'image', url: 'data:image/png;base64,A*' },
    { type: 'image', url: 'data:text/plain;base64,AAAA' },
    { type: 'image', url: 'file:///etc/passwd' },
    { type: 'audio', data: '', format: 'wav' },
    { type: 'file', data: 'AAAA', filename: 'x.exe' },
  ] as const;
  for (const part of bad) {
    assert.throws(
      () => inlinePart(part, 'messages[0].content[1]'),
      (error) => error instanceof RequestError && error.param?.startsWith('messages[0].content[1].') === true,
    );
  }
});
