'use strict';

// Destination: where a request was sent, as its client saw it. Proxies in front may know better than the request, if they are trusted.
// The rules are those of ropeway's server in Rust. An addition to what npm's `ws` has.

const { BlockList, isIP } = require('net');

const SCHEMES = new Map([['https', 'https'], ['wss', 'https'], ['http', 'http'], ['ws', 'http']]);

/**
 * The addresses of trusted proxies, for lookups.
 *
 * @param {string[]} addresses Each an address, or a network such as `10.0.0.0/8`.
 * @returns {BlockList}
 * @throws {TypeError} If one of them is neither.
 */
function proxies(addresses) {
  const list = new BlockList();
  for (const text of addresses) {
    const [address, prefix, ...rest] = String(text).split('/');
    const bits = prefix === undefined ? undefined : Number(prefix);
    const family = familyOf(address);
    const isNetwork = /^\d{1,3}$/.test(prefix) && bits <= (family === 'ipv4' ? 32 : 128);
    if (family === undefined || rest.length > 0 || (prefix !== undefined && !isNetwork)) {
      throw new TypeError(`The "trustedProxies" option has "${text}", which is no address and no network such as "10.0.0.0/8"`);
    }
    if (bits === undefined) list.addAddress(address, family);
    else list.addSubnet(address, bits, family);
  }
  return list;
}

/**
 * The host that a request was sent to, and the scheme.
 *
 * On a connection without TLS the scheme is not known, since a proxy in front may have taken TLS off. A trusted proxy tells both in
 * `X-Forwarded-Host` and `X-Forwarded-Proto`; of several proxies in a row the outermost counts. No page can make a browser send these
 * headers.
 *
 * @param {import('http').IncomingMessage} req
 * @param {BlockList|null} trusted
 * @returns {{ host: string|undefined, scheme: 'http'|'https'|undefined }}
 */
function destination(req, trusted) {
  const { headers, socket } = req;
  const stated = { host: headers.host, scheme: socket.encrypted ? 'https' : undefined };
  if (trusted === null || !trusts(trusted, socket.remoteAddress)) return stated;

  // Each trusted proxy has appended one element to each list. The elements in front of those may be made up.
  let hops = 0;
  for (const address of elements(headers['x-forwarded-for']).reverse()) {
    hops++;
    if (!trusts(trusted, address)) break;
  }
  const said = (name) => elements(headers[name]).slice(-Math.max(hops, 1))[0];
  const host = said('x-forwarded-host');
  return {
    host: host !== undefined && isHost(host) ? host : stated.host,
    scheme: SCHEMES.get(String(said('x-forwarded-proto')).toLowerCase())
  };
}

function trusts(trusted, address) {
  const family = familyOf(address);
  return family !== undefined && trusted.check(address, family);
}

function familyOf(address) {
  return { 4: 'ipv4', 6: 'ipv6' }[isIP(address)];
}

function elements(header) {
  return header === undefined ? [] : header.split(',').map((one) => one.trim()).filter((one) => one !== '');
}

// RFC 9110 section 7.2: a host, and perhaps a port; no user and no path.
function isHost(text) {
  try {
    return !/[@/?#\\\s]/.test(text) && new URL(`http://${text}`).host !== '';
  } catch {
    return false;
  }
}

module.exports = { destination, proxies };
