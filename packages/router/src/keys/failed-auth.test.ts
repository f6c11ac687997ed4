import assert from 'node:assert/strict';
import { test } from 'node:test';
import { FakeClock } from '@lfo/testing/fake-clock.ts';
import { FailedAuthLimiter } from './failed-auth.ts';

const networks: readonly (readonly [name: string, addresses: readonly string[]])[] = [
  ['written out', ['2001:db8:1:2:a:b:c:d', '2001:db8:1:2:e:f:1:2', '2001:db8:1:2::1']],
  ['with zeros at its end', ['2001:db8::a:b:c:d', '2001:db8::e:f:1:2', '2001:db8::1', '2001:db8:0:0:1:2:3:4']],
];

for (const [name, addresses] of networks) {
  test(`all addresses of an IPv6 network count as one: ${name}`, () => {
    const limiter = new FailedAuthLimiter(new FakeClock(), 1);
    assert.deepEqual(
      addresses.map((address) => limiter.fail(address) === undefined),
      addresses.map((_, index) => index === 0),
    );
    assert.equal(limiter.fail('2001:db8:1:3::1'), undefined);
  });
}

test('addresses of IPv4 count each for itself, as seen through IPv6 too', () => {
  const limiter = new FailedAuthLimiter(new FakeClock(), 1);
  for (const address of ['192.0.2.1', '192.0.2.2', '::ffff:192.0.2.1', '::ffff:192.0.2.2', '::1'])
    assert.equal(limiter.fail(address), undefined, address);
  assert.equal(limiter.fail('192.0.2.1'), 60_000);
});
