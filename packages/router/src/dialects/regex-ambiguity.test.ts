import assert from 'node:assert/strict';
import { test } from 'node:test';

import { isAmbiguousPattern } from './regex-ambiguity.ts';

const evil = [
  '(a+)+$',
  '^(a|a)*$',
  '(.*,)*',
  '([a-zA-Z]+)*',
  '(\\w+\\s?)*$',
  '(a*b*)*',
  '((ab)+)+',
  '(?:x{1,30}){1,30}',
  '(a|ab)*c',
  '(\\d+|\\w)+',
];
const tame = [
  '^[a-z0-9]+(?:-[a-z0-9]+)*$',
  '^\\d{4}-\\d{2}-\\d{2}$',
  '^(https?|ftp)://[^\\s/$.?#].[^\\s]*$',
  '^[A-Z]{2}\\d{2}(?: \\d{4})*$',
  '^(?:[a-z]+,)*[a-z]+$',
  '^(foo|bar)+$',
  '^.*\\.(ts|tsx)$',
  '^[0-9a-f]{8}-[0-9a-f]{4}$',
  '(?=.*\\d)(?=.*[a-z]).{8,}',
  '^\\+?[1-9]\\d{1,14}$',
  '',
  '(((',
  '[',
];

for (const pattern of evil) test(`${pattern} is ambiguous`, () => assert.equal(isAmbiguousPattern(pattern), true));
for (const pattern of tame) test(`${pattern} is harmless`, () => assert.equal(isAmbiguousPattern(pattern), false));
