'use strict';

// Options: what holds if a program says nothing. The defaults are those of npm's `ws` since 8.21.1.

const { proxies } = require('./destination');
const negotiation = require('./negotiation');

const SHARED = {
  allowSynchronousEvents: true,
  autoPong: true,
  closeTimeout: 30 * 1000,
  keepalive: null,
  maxBuffered: null,
  maxBufferedChunks: 256 * 1024,
  maxFragments: 16 * 1024,
  maxPayload: 100 * 1024 * 1024,
  maxPendingAutoPongs: 60,
  skipUTF8Validation: false
};

/**
 * The options of a server. An option that is there but `undefined` counts as `undefined`, as in `ws`; for the limits that means: none.
 *
 * @param {Object} options The caller's.
 * @param {Function} WebSocket The default class of the server's connections.
 * @returns {Object} With all defaults.
 * @throws {TypeError|RangeError} If an addition to `ws`'s options, or an option of zlib, makes no sense.
 */
function forServer(options, WebSocket) {
  const merged = {
    ...SHARED,
    perMessageDeflate: false,
    handleProtocols: null,
    clientTracking: true,
    verifyClient: null,
    origins: null,
    trustedProxies: null,
    noServer: false,
    backlog: null,
    server: null,
    host: null,
    path: null,
    port: null,
    WebSocket,
    ...options
  };
  settle(merged);
  const { origins } = merged;
  if (origins && origins !== 'same' && !(Array.isArray(origins) && origins.every((one) => typeof one === 'string'))) {
    throw new TypeError('The "origins" option must be "same" or an array of strings such as "https://example.com"');
  }
  const { trustedProxies } = merged;
  if (trustedProxies && !Array.isArray(trustedProxies)) {
    throw new TypeError('The "trustedProxies" option must be an array of addresses, or of networks such as "10.0.0.0/8"');
  }
  merged.trustedProxies = trustedProxies ? proxies(trustedProxies) : null;
  return merged;
}

/**
 * The options of a client. Those that name the server come from the address alone.
 *
 * @param {Object} [options] The caller's.
 * @returns {Object} With all defaults.
 * @throws {TypeError|RangeError} If an addition to `ws`'s options, or an option of zlib, makes no sense.
 */
function forClient(options) {
  const merged = {
    ...SHARED,
    followRedirects: false,
    maxRedirects: 10,
    perMessageDeflate: true,
    protocolVersion: 13,
    ...options,
    host: undefined,
    hostname: undefined,
    method: 'GET',
    path: undefined,
    port: undefined,
    protocol: undefined,
    socketPath: undefined,
    timeout: undefined
  };
  settle(merged);
  return merged;
}

/**
 * A limit as the receiving side counts it. `ws` coerces to a signed integer of 32 bits, and takes what is not positive for
 * "no limit": 2 ** 31 is none, and so is Infinity.
 *
 * @param {number} value The option.
 * @returns {number} The limit; 0 if there is none.
 */
function limit(value) {
  return Math.max(value | 0, 0);
}

// Checks the options that both ends have, and writes `perMessageDeflate` and `maxBuffered` out.
function settle(options) {
  if (options.perMessageDeflate === true) options.perMessageDeflate = {};
  if (options.perMessageDeflate) negotiation.check(options.perMessageDeflate);
  const { keepalive, maxBuffered } = options;
  if (keepalive && !(keepalive.interval > 0 && (keepalive.timeout === undefined || keepalive.timeout > 0))) {
    throw new TypeError('The "keepalive" option must be { interval, timeout } with positive numbers of milliseconds');
  }
  if (!maxBuffered) {
    options.maxBuffered = null;
    return;
  }
  const { bytes, then = 'close' } = typeof maxBuffered === 'object' ? maxBuffered : { bytes: maxBuffered };
  if (!(bytes > 0) || !['close', 'drop'].includes(then)) {
    throw new TypeError('The "maxBuffered" option must be a number of bytes or { bytes, then } with "close" or "drop"');
  }
  options.maxBuffered = { bytes, then };
}

module.exports = { forClient, forServer, limit };
