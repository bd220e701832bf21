'use strict';

// PerMessageDeflate: the extension (RFC 7692) for those who use the exported classes alone, over `node:zlib`.
// A WebSocket of this package has its messages compressed by the addon; of this class it uses the negotiation.

const zlib = require('node:zlib');

const Limiter = require('./limiter');
const negotiation = require('./negotiation');
const { kStatusCode, toError } = require('./violation');

// A sync flush ends with these four bytes. They are not sent (RFC 7692, section 7.2.1), so the reader puts them back.
const TAIL = Buffer.from([0x00, 0x00, 0xff, 0xff]);

const DEFAULT_CONCURRENCY = 10;

// The number of "Max payload size exceeded" in violation.js.
const TOO_BIG = 11;

// One for the process: zlib's work is done by the few threads that all instances share. The first instance decides.
let limiter = null;

class PerMessageDeflate {
  /**
   * @param {Object} [options] The option `perMessageDeflate`; and `isServer`, `maxPayload`.
   */
  constructor(options) {
    this._options = options || {};
    this._maxPayload = this._options.maxPayload | 0;
    this._isServer = !!this._options.isServer;
    this._deflate = null;
    this._inflate = null;
    this.params = null;

    if (limiter === null) {
      const { concurrencyLimit } = this._options;
      limiter = new Limiter(concurrencyLimit === undefined ? DEFAULT_CONCURRENCY : concurrencyLimit);
    }
  }

  static get extensionName() {
    return negotiation.NAME;
  }

  /** From which length on this side's messages are compressed, once the parameters are agreed. */
  get _threshold() {
    return negotiation.threshold(this._options, this.params || {}, this._isServer);
  }

  /** The parameters that a client offers. */
  offer() {
    return negotiation.offer(this._options);
  }

  /**
   * Judges offers or a response, and remembers what was agreed in `params`.
   *
   * @param {Object[]} configurations The parameters of each offer, as `extension.parse` gives them.
   * @returns {Object} The agreed parameters.
   */
  accept(configurations) {
    this.params = negotiation.accept(this._options, this._isServer, configurations);
    return this.params;
  }

  /** Frees the compressor and the decompressor. What is being compressed fails. */
  cleanup() {
    for (const name of ['_inflate', '_deflate']) {
      const stream = this[name];
      if (stream === null) continue;
      this[name] = null;
      stream.close();
      if (name === '_deflate') stream.abandon();
    }
  }

  /**
   * Compresses a message or a part of it. One call at a time.
   *
   * @param {Buffer|string} data The data.
   * @param {boolean} fin Whether this is the last part.
   * @param {Function} callback `(error, compressed)`.
   */
  compress(data, fin, callback) {
    limiter.add((done) => {
      this._compress(data, fin, (error, result) => {
        done();
        callback(error, result);
      });
    });
  }

  /**
   * Decompresses a message or a part of it. One call at a time.
   *
   * @param {Buffer} data The data.
   * @param {boolean} fin Whether this is the last part.
   * @param {Function} callback `(error, decompressed)`.
   */
  decompress(data, fin, callback) {
    limiter.add((done) => {
      this._decompress(data, fin, (error, result) => {
        done();
        callback(error, result);
      });
    });
  }

  _compress(data, fin, callback) {
    const side = this._isServer ? 'server' : 'client';
    if (this._deflate === null) {
      this._deflate = this._stream(zlib.createDeflateRaw, this._options.zlibDeflateOptions, side);
    }
    const deflate = this._deflate;
    const finish = once(deflate, callback);
    const chunks = collect(deflate);

    deflate.abandon = () => finish(new Error('The deflate stream was closed while data was being processed'));
    deflate.write(data);
    deflate.flush(zlib.constants.Z_SYNC_FLUSH, () => {
      if (this._deflate !== deflate) return;
      let compressed = Buffer.concat(chunks.list, chunks.length);
      if (fin) compressed = compressed.subarray(0, -TAIL.length);
      if (fin && this.params[`${side}_no_context_takeover`]) deflate.reset();
      finish(null, compressed);
    });
  }

  _decompress(data, fin, callback) {
    const side = this._isServer ? 'client' : 'server';
    if (this._inflate === null) {
      this._inflate = this._stream(zlib.createInflateRaw, this._options.zlibInflateOptions, side);
    }
    const inflate = this._inflate;
    const finish = once(inflate, callback);
    const fail = (error) => {
      if (this._inflate === inflate) this._inflate = null;
      inflate.close();
      finish(error);
    };
    const chunks = collect(inflate, this._maxPayload, () => fail(toError(TOO_BIG, 0)));

    inflate.on('error', (error) => {
      error[kStatusCode] = 1007;
      fail(error);
    });
    // A block that says that it is the last one ends the stream (RFC 7692, section 7.2.3.4): the next message
    // begins with a new one, and so without the old one's window.
    inflate.on('end', () => {
      if (this._inflate === inflate) this._inflate = null;
      inflate.close();
      finish(null, Buffer.concat(chunks.list, chunks.length));
    });
    inflate.write(data);
    if (fin) inflate.write(TAIL);
    inflate.flush(() => {
      if (this._inflate !== inflate || inflate.readableEnded) return;
      if (fin && this.params[`${side}_no_context_takeover`]) inflate.reset();
      finish(null, Buffer.concat(chunks.list, chunks.length));
    });
  }

  // A stream with the agreed window, whose `abandon` tells the call that is running, if one is.
  _stream(create, options, side) {
    const bits = this.params[`${side}_max_window_bits`];
    const windowBits = typeof bits === 'number' ? bits : zlib.constants.Z_DEFAULT_WINDOWBITS;
    const stream = create({ ...options, windowBits });
    stream.abandon = noop;
    // An error of zlib after the call that it belongs to has ended concerns nobody.
    stream.on('error', noop);
    return stream;
  }
}

// Collects a stream's output. Beyond `limit` bytes (0: no limit) it is dropped, and `exceeded` called, once.
function collect(stream, limit, exceeded) {
  const chunks = { list: [], length: 0 };
  stream.on('data', (chunk) => {
    if (limit > 0 && chunks.length > limit) return;
    chunks.length += chunk.length;
    if (limit > 0 && chunks.length > limit) exceeded();
    else chunks.list.push(chunk);
  });
  return chunks;
}

// The callback, for one use; the listeners of the call go with it.
function once(stream, callback) {
  let called = false;
  return (error, result) => {
    if (called) return;
    called = true;
    stream.abandon = noop;
    stream.removeAllListeners('data');
    stream.removeAllListeners('error');
    stream.removeAllListeners('end');
    stream.on('error', noop);
    callback(error, result);
  };
}

function noop() {}

module.exports = PerMessageDeflate;
