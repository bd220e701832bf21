'use strict';

// Crowd: what a server does with all of its connections at once. An addition to what npm's `ws` has.

const zlib = require('zlib');

const { kWire } = require('./closing');
const { frame } = require('./frame');
const { EMPTY } = require('./lane');
const { standsAlone } = require('./negotiation');
const { BINARY, TEXT } = require('./opcode');
const { toBuffer } = require('./payload');
const { OPEN } = require('./ready-state');

// The end of a sync flush, which is not sent (RFC 7692 section 7.2.1).
const TAIL = 4;

// zlib has no raw stream with a smaller window.
const MIN_WINDOW_BITS = 9;

const DRAIN_TIMEOUT = 10 * 1000;

// RFC 6455 section 7.4.1: "an endpoint is going away, such as a server going down".
const GOING_AWAY = 1001;

/**
 * Sends a message to every open client of a server; see `WebSocketServer.prototype.broadcast`.
 *
 * @param {import('./server')} server
 * @param {any} data
 * @param {{ except?: Object|Iterable<Object>, binary?: boolean, compress?: boolean }} [options]
 * @returns {number} How many clients it was sent to.
 */
function broadcast(server, data, { except, binary = typeof data !== 'string' && typeof data !== 'number', compress = true } = {}) {
  const message = new Prepared(toBuffer(typeof data === 'number' ? String(data) : data || EMPTY), binary, compress);
  const left = new Set(except === undefined || except === null ? [] : Symbol.iterator in except ? except : [except]);
  let count = 0;
  for (const client of clientsOf(server)) {
    if (client.readyState !== OPEN || left.has(client)) continue;
    if (client[kWire].broadcast(message)) count++;
  }
  return count;
}

/**
 * Closes a server and its connections; see `WebSocketServer.prototype.drain`.
 *
 * @param {import('./server')} server
 * @param {number} [timeout] Milliseconds.
 * @returns {Promise<number>} How many connections had to be terminated.
 */
function drain(server, timeout = DRAIN_TIMEOUT) {
  const clients = clientsOf(server);
  // `close` forgets it.
  const own = server.options.port == null ? null : server._server;
  let terminated = 0;
  const timer = setTimeout(() => {
    for (const client of clients) {
      terminated++;
      client.terminate();
    }
    // Connections that never asked for a WebSocket.
    if (own) own.closeAllConnections();
  }, timeout);

  const ends = [...clients].map((client) => new Promise((resolve) => client.once('close', resolve)));
  ends.push(new Promise((resolve) => server.close(resolve)));
  for (const client of clients) client.close(GOING_AWAY);
  if (own) own.closeIdleConnections();
  return Promise.all(ends).then(() => {
    clearTimeout(timer);
    return terminated;
  });
}

/** A message for many clients, compressed once for each size of window. */
class Prepared {
  constructor(payload, isBinary, compress) {
    this.payload = payload;
    this.isBinary = isBinary;
    this.compress = compress;
    this.frames = new Map();
  }

  /**
   * The compressed frame for a client; null if its frame is not compressed.
   *
   * A client whose messages build on each other (context takeover, the default of permessage-deflate) gets it uncompressed: its
   * compressor does not know of messages that others have compressed, and would refer to the wrong bytes afterwards.
   *
   * @param {Object|undefined} deflate The client's extension.
   * @returns {Buffer|null}
   */
  compressedFor(deflate) {
    if (!this.compress || !deflate || !standsAlone(deflate.params, true)) return null;
    const bits = deflate.params.server_max_window_bits || zlib.constants.Z_MAX_WINDOWBITS;
    if (bits < MIN_WINDOW_BITS || this.payload.length < deflate._threshold) return null;
    let done = this.frames.get(bits);
    if (done === undefined) {
      done = this.encode(bits, deflate._options.zlibDeflateOptions);
      this.frames.set(bits, done);
    }
    return done;
  }

  // In one piece, which many sockets share.
  encode(windowBits, options) {
    const flushed = zlib.deflateRawSync(this.payload, {
      ...options,
      // With it the result is no Buffer.
      info: false,
      windowBits,
      finishFlush: zlib.constants.Z_SYNC_FLUSH
    });
    const opcode = this.isBinary ? BINARY : TEXT;
    const payload = flushed.subarray(0, flushed.length - TAIL);
    return Buffer.concat(frame(payload, { fin: true, rsv1: true, opcode, mask: false }));
  }
}

function clientsOf(server) {
  if (!server.clients) throw new Error('The server does not know its clients, since the "clientTracking" option is off');
  return server.clients;
}

module.exports = { broadcast, drain };
