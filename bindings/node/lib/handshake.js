'use strict';

// Handshake: a request to upgrade, judged in the order of npm's `ws`, and the answers to it, byte for byte (RFC 6455 section 4.2).

const { createHash, hash } = require('crypto');
const { STATUS_CODES } = require('http');

const { destination } = require('./destination');
const extension = require('./extension');
const negotiation = require('./negotiation');
const PerMessageDeflate = require('./permessage-deflate');
const subprotocol = require('./subprotocol');

// RFC 6455 section 1.3.
const GUID = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';

// 16 bytes in base64 (RFC 6455 section 4.1, item 7).
const KEY = /^[+/0-9A-Za-z]{22}==$/;

/**
 * The value of `Sec-WebSocket-Accept` for a key (RFC 6455 section 4.2.2, item 5.4).
 *
 * @param {string} key The value of `Sec-WebSocket-Key`.
 * @returns {string} 28 characters.
 */
function acceptKey(key) {
  // In one call where Node has it (20.12): half the time of the three.
  if (hash !== undefined) return hash('sha1', key + GUID, 'base64');
  return createHash('sha1').update(key + GUID).digest('base64');
}

/** A request that is answered with an error. */
class Refusal {
  /**
   * @param {number} status The status code.
   * @param {string} [message] The body; the status code's name if it is left out.
   * @param {Object} [headers] Headers beside those of each refusal.
   * @param {boolean} [isClientError] Whether the request breaks the protocol, so that `'wsClientError'` is told.
   */
  constructor(status, message, headers, isClientError = false) {
    this.status = status;
    this.message = message;
    this.headers = headers;
    this.isClientError = isClientError;
  }
}

/**
 * The checks that concern the request alone.
 *
 * @param {import('http').IncomingMessage} req
 * @returns {Refusal|null} The first rule that it breaks.
 */
function checkRequest(req) {
  const { upgrade, 'sec-websocket-key': key, 'sec-websocket-version': version } = req.headers;
  if (req.method !== 'GET') return broken('Invalid HTTP method', 405);
  // Node drops headers above `maxHeadersCount`, this one too: it may be missing although Node saw an upgrade.
  if (upgrade === undefined || upgrade.toLowerCase() !== 'websocket') return broken('Invalid Upgrade header');
  if (key === undefined || !KEY.test(key)) return broken('Missing or invalid Sec-WebSocket-Key header');
  // A number, since programs that make requests up give one (@fastify/websocket's `injectWS` does).
  if (Number(version) !== 13 && Number(version) !== 8) {
    const headers = { 'Sec-WebSocket-Version': '13, 8' };
    return broken('Missing or invalid Sec-WebSocket-Version header', 400, headers);
  }
  return null;
}

/**
 * The subprotocols that the client offers.
 *
 * @param {import('http').IncomingMessage} req
 * @returns {Set<string>|Refusal}
 */
function offeredSubprotocols(req) {
  const header = req.headers['sec-websocket-protocol'];
  if (header === undefined) return new Set();
  try {
    return subprotocol.parse(header);
  } catch {
    return broken('Invalid Sec-WebSocket-Protocol header');
  }
}

/**
 * The extensions that the connection will use. Offers of unknown names are ignored (RFC 6455 section 9.1). An offer of
 * permessage-deflate that cannot be accepted is refused, as in `ws`; RFC 7692 section 5 would decline it.
 *
 * @param {import('http').IncomingMessage} req
 * @param {Object} options The server's options.
 * @returns {Object<string, PerMessageDeflate>|Refusal|null} By name; null if there is none.
 */
function agreedExtensions(req, options) {
  const header = req.headers['sec-websocket-extensions'];
  if (header === undefined || !options.perMessageDeflate) return null;
  try {
    const offers = extension.parse(header)[negotiation.NAME];
    if (offers === undefined) return null;
    const deflate = new PerMessageDeflate({
      ...options.perMessageDeflate,
      isServer: true,
      maxPayload: options.maxPayload
    });
    deflate.accept(offers);
    return { [negotiation.NAME]: deflate };
  } catch {
    return broken('Invalid or unacceptable Sec-WebSocket-Extensions header');
  }
}

/**
 * Whether a page of the request's origin may connect. A request without an origin comes from a program, which could send any.
 *
 * @param {import('http').IncomingMessage} req
 * @param {{ origins: 'same'|string[]|null, trustedProxies: import('net').BlockList|null }} options The server's.
 * @returns {boolean}
 */
function isOriginAllowed(req, { origins, trustedProxies }) {
  if (!origins) return true;
  const origin = originOf(req);
  if (origin === undefined) return true;
  if (origins !== 'same') return origins.some((one) => one.toLowerCase() === origin.toLowerCase());
  // RFC 6454 section 7: an origin is a scheme, a host and a port, and `null` if it is none to be told. A default port is left out.
  const page = normalOrigin(origin);
  const { host, scheme } = destination(req, trustedProxies);
  if (page === undefined || host === undefined) return false;
  return page === normalOrigin(`${scheme || page.slice(0, page.indexOf(':'))}://${host}`);
}

/**
 * The facts that the program's `verifyClient` is given.
 *
 * @param {import('http').IncomingMessage} req
 * @returns {{ origin: string|undefined, secure: boolean, req: import('http').IncomingMessage }}
 */
function clientInfo(req) {
  return { origin: originOf(req), secure: isSecure(req), req };
}

/**
 * Writes the answer to a refused request, and closes the socket behind it.
 *
 * @param {import('stream').Duplex} socket
 * @param {Refusal} refusal
 */
function refuse(socket, { status, message, headers }) {
  const reason = STATUS_CODES[status] || '';
  const body = String(message || reason);
  const all = {
    Connection: 'close',
    'Content-Type': 'text/html',
    'Content-Length': Buffer.byteLength(body),
    ...headers
  };
  const lines = Object.keys(all).map((name) => `${name}: ${all[name]}\r\n`);
  socket.once('finish', () => socket.destroy());
  socket.end(`HTTP/1.1 ${status} ${reason}\r\n${lines.join('')}\r\n${body}`);
}

/**
 * The lines of the answer to an accepted request. A listener of `'headers'` may change them before they are written.
 *
 * @param {string} key The value of `Sec-WebSocket-Key`.
 * @param {string|false|undefined} protocol The chosen subprotocol.
 * @param {Object<string, PerMessageDeflate>|null} extensions The agreed extensions.
 * @returns {string[]}
 */
function acceptLines(key, protocol, extensions) {
  const lines = [
    'HTTP/1.1 101 Switching Protocols',
    'Upgrade: websocket',
    'Connection: Upgrade',
    `Sec-WebSocket-Accept: ${acceptKey(key)}`
  ];
  if (protocol) lines.push(`Sec-WebSocket-Protocol: ${protocol}`);
  if (extensions !== null) {
    const deflate = extensions[negotiation.NAME];
    lines.push(`Sec-WebSocket-Extensions: ${extension.format({ [negotiation.NAME]: [deflate.params] })}`);
  }
  return lines;
}

function broken(message, status = 400, headers = undefined) {
  return new Refusal(status, message, headers, true);
}

// Version 8 of the protocol had a name of its own for the header.
function originOf(req) {
  return req.headers[Number(req.headers['sec-websocket-version']) === 8 ? 'sec-websocket-origin' : 'origin'];
}

function isSecure(req) {
  return !!(req.socket.authorized || req.socket.encrypted);
}

function normalOrigin(text) {
  try {
    const { origin } = new URL(text);
    return origin === 'null' ? undefined : origin;
  } catch {
    return undefined;
  }
}

module.exports = {
  GUID,
  Refusal,
  acceptKey,
  acceptLines,
  agreedExtensions,
  checkRequest,
  clientInfo,
  isOriginAllowed,
  offeredSubprotocols,
  refuse
};
