'use strict';

// Destination: the host and the scheme of a request behind proxies. The rows are those of ropeway's server in Rust.

const assert = require('node:assert');
const { test } = require('node:test');

const { destination, proxies } = require('../lib/destination');

const PROXIES = proxies(['10.0.0.0/8', 'fd00::/8', '192.0.2.7']);

for (const [peer, headers, host, scheme] of [
  ['10.0.0.1', { host: 'a.test:8443', proto: 'https' }, 'a.test:8443', 'https'],
  ['::ffff:10.0.0.1', { host: 'a.test', proto: 'https' }, 'a.test', 'https'],
  ['fd00::1', { host: 'a.test' }, 'a.test'],
  ['192.0.2.7', { host: '[::1]:80' }, '[::1]:80'],
  ['10.0.0.1', { proto: 'wss' }, 'backend:8005', 'https'],
  ['10.0.0.1', { host: 'a.test', proto: 'WS' }, 'a.test', 'http'],
  ['10.0.0.1', { host: 'a.test', proto: 'ftp' }, 'a.test'],
  ['10.0.0.1', { host: 'a.test', proto: 'constructor' }, 'a.test'],
  // One proxy has added one element to each list. The elements before are not the proxy's.
  ['10.0.0.1', { for: '6.6.6.6, 203.0.113.7', host: 'b.test, a.test' }, 'a.test'],
  ['10.0.0.1', { host: 'b.test, a.test', proto: 'http, https' }, 'a.test', 'https'],
  // Two proxies have.
  ['10.0.0.1', { for: '203.0.113.7, 10.0.0.2', host: 'c.test, a.test, b.test' }, 'a.test'],
  ['10.0.0.1', { for: '203.0.113.7, 10.0.0.2', host: 'a.test' }, 'a.test'],
  ['10.0.0.1', { for: 'unknown, 10.0.0.2', host: 'c.test, a.test, b.test' }, 'a.test'],
  // The value is no host, or the peer is no proxy, or it has no address.
  ['10.0.0.1', { host: 'user@a.test' }, 'backend:8005'],
  ['10.0.0.1', { host: 'a.test:http' }, 'backend:8005'],
  ['10.0.0.1', { host: 'a.test/path' }, 'backend:8005'],
  ['10.0.0.1', { host: ' , ' }, 'backend:8005'],
  ['203.0.113.7', { host: 'a.test', proto: 'https' }, 'backend:8005'],
  ['192.0.2.70', { host: 'a.test', proto: 'https' }, 'backend:8005'],
  [undefined, { host: 'a.test', proto: 'https' }, 'backend:8005']
]) {
  test(`from ${peer} with ${JSON.stringify(headers)} a request is for ${scheme || 'any'}://${host}`, () => {
    const forwarded = Object.entries(headers).map(([name, value]) => [`x-forwarded-${name}`, value]);
    const req = { headers: { host: 'backend:8005', ...Object.fromEntries(forwarded) }, socket: { remoteAddress: peer } };
    assert.deepStrictEqual(destination(req, PROXIES), { host, scheme });
  });
}

test('without trusted proxies the request itself counts, and TLS gives the scheme', () => {
  const headers = { host: 'a.test', 'x-forwarded-host': 'b.test', 'x-forwarded-proto': 'http' };
  assert.deepStrictEqual(destination({ headers, socket: { encrypted: true } }, null), { host: 'a.test', scheme: 'https' });
  assert.deepStrictEqual(destination({ headers, socket: { remoteAddress: '10.0.0.1' } }, null), { host: 'a.test', scheme: undefined });
});
