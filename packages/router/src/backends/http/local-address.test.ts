import assert from 'node:assert/strict';
import { test } from 'node:test';
import { localAddressTest } from './local-address.ts';

const isLocalAddress = localAddressTest();

const local = [
  '127.0.0.1',
  '127.255.255.255',
  '0.0.0.0',
  '10.0.0.0',
  '10.255.255.255',
  '172.16.0.1',
  '172.31.255.255',
  '192.168.0.1',
  '169.254.1.1',
  '100.64.0.1',
  '100.127.255.255',
  '::',
  '::1',
  'fe80::1',
  'fe80::1%eth0',
  'febf::1',
  'fc00::1',
  'fdff::1',
  '::ffff:127.0.0.1',
  '::ffff:10.0.0.1',
  '::ffff:c0a8:1',
  '::FFFF:7f00:1',
];

const foreign = [
  '8.8.8.8',
  '9.255.255.255',
  '11.0.0.0',
  '172.15.255.255',
  '172.32.0.0',
  '192.167.255.255',
  '192.169.0.0',
  '100.63.255.255',
  '100.128.0.0',
  '169.253.1.1',
  '128.0.0.1',
  '0.0.0.1',
  '255.255.255.255',
  '224.0.0.1',
  '2001:4860:4860::8888',
  'fec0::1',
  'fbff::1',
  '::2',
  '64:ff9b::a00:1',
  '2002:a00:1::',
  'ff02::1',
  '::ffff:8.8.8.8',
  '::ffff:808:808',
  '::ffff:172.32.0.0',
  '',
  'localhost',
  '10.0.0',
  '127.1',
  '0x7f.0.0.1',
  '010.0.0.1',
  '10.0.0.1.',
  '%eth0',
];

for (const address of local) {
  test(`${address} is local`, () => assert.equal(isLocalAddress(address), true));
}

for (const address of foreign) {
  test(`${JSON.stringify(address)} is not local`, () => assert.equal(isLocalAddress(address), false));
}
