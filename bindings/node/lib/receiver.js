'use strict';

// Receiver: the receiving half of a connection, for those who use it without a WebSocket.
// Chunks are written to it; it emits 'message', 'ping', 'pong', 'conclude' (the peer's close frame) and 'error'.

const { Writable } = require('node:stream');

const { native } = require('./hub');
const { Inbound } = require('./inbound');
const { NAME, laneSettings } = require('./negotiation');
const { limit } = require('./options');
const { toBinaryType } = require('./payload');
const { toError, tooManyChunks } = require('./violation');
const { Walker } = require('./walker');

// A Receiver that is dropped without having been ended gives its connection in the addon back as well.
const dropped = new FinalizationRegistry((id) => native.close(id));

class Receiver extends Writable {
  /**
   * @param {Object} [options] `allowSynchronousEvents`, `binaryType`, `extensions`, `isServer`, `maxBufferedChunks`,
   *   `maxFragments`, `maxPayload`, `skipUTF8Validation`: as a WebSocket's. Without a limit there is none.
   */
  constructor(options = {}) {
    super();
    this._allowSynchronousEvents = options.allowSynchronousEvents !== undefined ? options.allowSynchronousEvents : true;
    this._binaryType = options.binaryType || 'nodebuffer';
    this._extensions = options.extensions || {};
    this._isServer = !!options.isServer;
    this._maxBufferedChunks = limit(options.maxBufferedChunks);
    this._maxFragments = limit(options.maxFragments);
    this._maxPayload = limit(options.maxPayload);
    this._skipUTF8Validation = !!options.skipUTF8Validation;

    this._walker = new Walker();
    this._inbound = null;
    this._violation = null;
  }

  get _totalPayloadLength() {
    return this._walker.announced;
  }

  _write(chunk, encoding, callback) {
    if (this._inbound === null) this._open();
    if (this._inbound.isOver) {
      callback();
      return;
    }
    if (this._maxBufferedChunks > 0 && this._walker.chunks >= this._maxBufferedChunks) {
      callback(tooManyChunks());
      return;
    }
    this._walker.walk(chunk);
    try {
      this._inbound.feed(chunk);
    } finally {
      // A handler may have thrown: then the events behind it wait.
      if (this._inbound.isIdle) callback(this._violation);
      else this._inbound.onIdle = () => callback(this._violation);
    }
  }

  _destroy(error, callback) {
    if (this._inbound !== null) {
      dropped.unregister(this._inbound);
      this._inbound.free();
    }
    callback(error);
  }

  // Not before the first chunk: until then the extension may still be negotiated.
  _open() {
    const extension = this._extensions[NAME];
    this._inbound = new Inbound(this, {
      allowSynchronousEvents: this._allowSynchronousEvents,
      deflate: extension ? laneSettings(extension._options, extension.params || {}, this._isServer) : null,
      isServer: this._isServer,
      maxFragments: this._maxFragments,
      maxPayload: this._maxPayload,
      skipUTF8Validation: this._skipUTF8Validation
    });
    dropped.register(this, this._inbound.id, this._inbound);
  }

  // These are called by the side of the addon.

  _onMessage(data, isBinary) {
    const cuts = this._walker.message();
    this.emit('message', isBinary ? toBinaryType(data, this._binaryType, cuts) : data, isBinary);
  }

  _onPing(data) {
    this.emit('ping', data);
  }

  _onPong(data) {
    this.emit('pong', data);
  }

  _onCloseFrame(code, reason) {
    this.emit('conclude', code, reason);
    // Bytes behind the close frame that were written in the same go are dropped, and are no error.
    process.nextTick(() => this.end());
  }

  _onViolation(kind, value) {
    this._violation = toError(kind, value);
  }
}

module.exports = Receiver;
