'use strict';

// WebSocket: its states, its events, and the rules of sending. Frames are the lane's, opening and closing have files of their own.

const EventEmitter = require('events');
const { Duplex } = require('stream');

const { abandon, connect } = require('./client');
const closing = require('./closing');
const { defineAttributes, eventTarget } = require('./events');
const { ReceiverFacade, SenderFacade } = require('./facade');
const { Keepalive } = require('./keepalive');
const { EMPTY, attach } = require('./lane');
const negotiation = require('./negotiation');
const { limit } = require('./options');
const { Outbox } = require('./outbox');
const { byteLength, isBlob, toBinaryType, toBuffer } = require('./payload');

const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
const [CONNECTING, OPEN, CLOSING, CLOSED] = STATES.keys();

const BINARY_TYPES = ['nodebuffer', 'arraybuffer', 'fragments'];
if (typeof Blob !== 'undefined') BINARY_TYPES.push('blob');

const PING = 9;
const PONG = 10;

// RFC 6455 section 5.5.
const MAX_CONTROL = 125;

// Of a server.
const UNCOMPRESSED = Object.freeze({ compress: false, fin: true, mask: false });

// Without extensions all connections have this object.
const NONE = Object.freeze({});

class WebSocket extends EventEmitter {
  /**
   * @param {string|URL|null} address The server's; null for a server's side of a connection.
   * @param {string|string[]|Object} [protocols] The subprotocols; or the options.
   * @param {Object} [options]
   */
  constructor(address, protocols, options) {
    super();
    this._binaryType = BINARY_TYPES[0];
    this._closeCode = 1006;
    this._closeMessage = EMPTY;
    this._closeTimer = null;
    this._closing = 0;
    this._errorEmitted = false;
    this._extensions = NONE;
    this._paused = false;
    this._protocol = '';
    this._readyState = CONNECTING;
    this._socket = null;
    this._lane = null;
    // Of the client, or of the server for all its connections.
    this._options = null;
    this._outbox = null;
    this._keepalive = null;
    // Bytes that were to be sent when it was too late; `bufferedAmount` keeps them, as in browsers.
    this._bufferedAmount = 0;
    this._maxBuffered = 0;
    // The message whose fragments are being sent.
    this._fragment = null;
    this._pendingPongs = 0;
    this._autoPong = true;
    this._closeTimeout = 0;
    this._isServer = address === null;
    this._redirects = 0;
    this._url = undefined;
    this._req = undefined;
    this._opening = null;
    this._facades = null;

    if (this._isServer) {
      this._autoPong = options.autoPong;
      this._closeTimeout = options.closeTimeout;
      return;
    }
    if (protocols === undefined) connect(this, address, [], options);
    else if (Array.isArray(protocols)) connect(this, address, protocols, options);
    else if (typeof protocols === 'object' && protocols !== null) connect(this, address, [], protocols);
    else connect(this, address, [protocols], options);
  }

  /** The type that binary messages are delivered as: 'nodebuffer', 'arraybuffer', 'fragments' or 'blob'. */
  get binaryType() {
    return this._binaryType;
  }

  set binaryType(type) {
    if (BINARY_TYPES.includes(type)) this._binaryType = type;
  }

  /** The bytes that were handed to `send` and are still in this process. */
  get bufferedAmount() {
    const waiting = this._outbox === null ? 0 : this._outbox.bytes;
    if (this._socket === null) return this._bufferedAmount;
    return this._socket._writableState.length + this._lane.buffered + waiting + this._bufferedAmount;
  }

  /** The names of the agreed extensions. */
  get extensions() {
    return Object.keys(this._extensions).join();
  }

  get isPaused() {
    return this._paused;
  }

  /** The subprotocol that the server has chosen; empty if there is none. */
  get protocol() {
    return this._protocol;
  }

  get readyState() {
    return this._readyState;
  }

  /** The server's address; undefined on the server's side. */
  get url() {
    return this._url;
  }

  /**
   * Takes a socket that was upgraded, and opens.
   *
   * @param {Duplex} socket
   * @param {Buffer} head What came behind the handshake.
   * @param {Object} options Those of the client or the server.
   * @private
   */
  setSocket(socket, head, options) {
    this._options = options;
    if (options.maxBuffered) this._maxBuffered = options.maxBuffered.bytes;
    this._socket = socket;
    if (socket.setTimeout) socket.setTimeout(0);
    if (socket.setNoDelay) socket.setNoDelay();
    this._lane = attach(socket, head, this, this._laneSettings(options));
    closing.watch(this, socket);
    this._readyState = OPEN;
    if (options.keepalive) this._keepalive = new Keepalive(this, options.keepalive);
    this.emit('open');
  }

  /** @private */
  emitClose() {
    if (this._keepalive !== null) this._keepalive.stop();
    const deflate = this._extensions[negotiation.NAME];
    if (deflate) deflate.cleanup();
    this._readyState = CLOSED;
    this.emit('close', this._closeCode, this._closeMessage);
  }

  /**
   * Begins the closing handshake. What was sent before is delivered first.
   *
   * @param {number} [code] 1000 to 1003, 1007 to 1014, or 3000 to 4999.
   * @param {string|Uint8Array} [reason] At most 123 bytes.
   * @throws {TypeError|RangeError} If one of them is not allowed. The connection stays open then.
   */
  close(code, reason) {
    if (this._readyState === OPEN) closing.begin(this, closing.closePayload(code, reason));
    else if (this._readyState === CONNECTING && this._opening !== null) abandon(this);
    else if (this._readyState === CLOSING && this._socket !== null) closing.advance(this);
  }

  /** Destroys the socket. */
  terminate() {
    if (this._readyState === CLOSED) return;
    if (this._readyState === CONNECTING && this._opening !== null) {
      abandon(this);
    } else if (this._socket !== null) {
      this._readyState = CLOSING;
      // Frames of this tick are with the kernel in `ws`, which writes at once.
      this._lane.flush();
      this._socket.destroy();
    }
  }

  /** Stops reading. Events of what is read already still come. */
  pause() {
    if (this._readyState === CONNECTING || this._readyState === CLOSED) return;
    this._paused = true;
    this._lane?.pause();
  }

  /** Goes on reading. */
  resume() {
    if (this._readyState === CONNECTING || this._readyState === CLOSED) return;
    this._paused = false;
    this._lane?.resume();
  }

  /**
   * Sends a ping.
   *
   * @param {any} [data] At most 125 bytes.
   * @param {boolean} [mask]
   * @param {Function} [callback]
   */
  ping(data, mask, callback) {
    this._pingOrPong(PING, data, mask, callback);
  }

  /**
   * Sends a pong that nobody asked for. The answers to pings are sent by themselves.
   *
   * @param {any} [data] At most 125 bytes.
   * @param {boolean} [mask]
   * @param {Function} [callback]
   */
  pong(data, mask, callback) {
    this._pingOrPong(PONG, data, mask, callback);
  }

  /**
   * Sends a message, or a fragment of one.
   *
   * @param {any} data A string, a number, a Buffer, TypedArray, DataView, ArrayBuffer, Blob, or what `Buffer.from` takes.
   * @param {{ binary?: boolean, compress?: boolean, fin?: boolean, mask?: boolean }|Function} [options] Or the callback.
   * @param {Function} [callback] Called when the data is written, or with the error.
   * @throws {Error} While connecting.
   */
  send(data, options, callback) {
    if (typeof options === 'function') {
      callback = options;
      options = undefined;
    }
    if (typeof data === 'number') data = data.toString();
    if (this._readyState !== OPEN) {
      this._refuse(data, callback);
      return;
    }
    // An empty string stays a text.
    let isBinary = typeof data !== 'string';
    let laneOptions = null;
    if (options) {
      // An option that is there counts, even if it is undefined: then it is false, as in `ws`. The names are written out because a
      // loop over them takes five times as long.
      let { binary, compress, fin, mask } = options;
      if (binary === undefined && !('binary' in options)) binary = isBinary;
      if (compress === undefined && !('compress' in options)) compress = true;
      if (fin === undefined && !('fin' in options)) fin = true;
      if (mask === undefined && !('mask' in options)) mask = !this._isServer;
      isBinary = !!binary;
      if (!compress || !fin || !mask !== this._isServer) laneOptions = { compress: !!compress, fin: !!fin, mask: !!mask };
    }
    if (this._maxBuffered > 0 && this._overflows(callback)) return;
    let held = null;
    if (this._fragment !== null || (laneOptions !== null && !laneOptions.fin)) {
      ({ held, isBinary, laneOptions } = this._continue(isBinary, laneOptions));
    }

    const isPlain = typeof data === 'string' || Buffer.isBuffer(data);
    if (this._outbox !== null || (!isPlain && isBlob(data))) this._queue(data, isBinary, laneOptions, callback);
    else this._lane.send(isPlain ? data : toBuffer(data || EMPTY), isBinary, laneOptions, callback);
    if (held !== null) this._release(held);
  }

  get _sender() {
    return this._socket === null ? null : this._facade('sender', SenderFacade);
  }

  get _receiver() {
    return this._socket === null ? null : this._facade('receiver', ReceiverFacade);
  }

  get _closedCleanly() {
    return closing.isClean(this);
  }

  // The lane calls these, in the socket's async scope.

  _onMessage(data, isBinary) {
    if (this._keepalive !== null) this._keepalive.heard();
    if (isBinary && this._binaryType !== 'nodebuffer') data = toBinaryType(data, this._binaryType);
    this.emit('message', data, isBinary);
  }

  // RFC 6455 section 5.5.2: a pong is sent "in response, unless it already received a Close frame". It goes before the event.
  _onPing(data) {
    if (this._keepalive !== null) this._keepalive.heard();
    if (this._autoPong && this._readyState === OPEN) {
      const max = limit(this._options.maxPendingAutoPongs);
      if (max > 0 && this._pendingPongs >= max) this.terminate();
      else this._answer(data);
    }
    this.emit('ping', data);
  }

  _onPong(data) {
    if (this._keepalive !== null) this._keepalive.heard();
    this.emit('pong', data);
  }

  _onCloseFrame(code, reason) {
    closing.received(this, code, reason);
    const facade = this._facades && this._facades.receiver;
    if (facade) facade.emit('conclude', code, reason);
  }

  _onViolation(kind, value) {
    closing.violated(this, kind, value);
  }

  // In the order of the other sends. The shell of a control frame is whole: `payload` has at most 125 bytes.
  _sendControl(opcode, payload, mask, callback) {
    const options = mask === undefined || !mask === this._isServer ? null : { mask: !!mask };
    if (this._outbox === null) this._lane.control(opcode, payload, options, callback);
    else this._outbox.add(payload.length, () => this._lane.control(opcode, payload, options, callback), callback);
  }

  _sendRaw(list, callback) {
    const bytes = list.reduce((sum, { length }) => sum + length, 0);
    if (this._outbox === null) this._lane.raw(list, callback);
    else this._outbox.add(bytes, () => this._lane.raw(list, callback), callback);
  }

  // A message of `broadcast`. Between fragments of a message no other may be sent (RFC 6455 section 5.4): it is held until then.
  _sendPrepared(message) {
    if (this._maxBuffered > 0 && this._overflows()) return false;
    if (this._fragment !== null) {
      this._fragment.held.push(message);
      return true;
    }
    const deflate = this._extensions[negotiation.NAME];
    const compressed = message.compressedFor(deflate);
    if (compressed !== null) {
      this._sendRaw([compressed]);
      return true;
    }
    const { payload, isBinary } = message;
    const options = deflate ? UNCOMPRESSED : null;
    if (this._outbox === null) this._lane.send(payload, isBinary, options);
    else this._outbox.add(payload.length, () => this._lane.send(payload, isBinary, options));
    return true;
  }

  _release(held) {
    for (const message of held) this._sendPrepared(message);
  }

  _answer(data) {
    this._pendingPongs++;
    this._sendControl(PONG, data, undefined, () => {
      this._pendingPongs--;
    });
  }

  _pingOrPong(opcode, data, mask, callback) {
    if (typeof data === 'function') {
      callback = data;
      data = mask = undefined;
    } else if (typeof mask === 'function') {
      callback = mask;
      mask = undefined;
    }
    if (typeof data === 'number') data = data.toString();
    if (this._readyState !== OPEN) {
      this._refuse(data, callback);
      return;
    }
    const blob = isBlob(data);
    if (byteLength(data || EMPTY) > MAX_CONTROL) {
      throw new RangeError(`The data size must not be greater than ${MAX_CONTROL} bytes`);
    }
    if (!blob) {
      this._sendControl(opcode, toBuffer(data || EMPTY), mask, callback);
      return;
    }
    const options = mask === undefined ? null : { mask: !!mask };
    this._box().addBlob(data, (bytes) => this._lane.control(opcode, bytes, options, callback), callback);
  }

  // The first fragment decides about the whole message (RFC 6455 section 5.4, RFC 7692 section 6.1).
  _continue(isBinary, options) {
    const { compress = true, fin = true, mask = !this._isServer } = options || {};
    const message = this._fragment || { isBinary, compress, held: [] };
    this._fragment = fin ? null : message;
    const held = fin && message.held.length > 0 ? message.held : null;
    return { held, isBinary: message.isBinary, laneOptions: { compress: message.compress, fin, mask } };
  }

  _queue(data, isBinary, options, callback) {
    const send = (bytes) => this._lane.send(bytes, isBinary, options, callback);
    if (isBlob(data)) {
      this._box().addBlob(data, send, callback);
    } else {
      const bytes = toBuffer(data || EMPTY);
      this._outbox.add(bytes.length, () => send(bytes), callback);
    }
  }

  _box() {
    if (this._outbox === null) this._outbox = new Outbox(this);
    return this._outbox;
  }

  // Too early is a mistake of the program; too late happens to each, since the peer may close at any time.
  _refuse(data, callback) {
    const error = new Error(`WebSocket is not open: readyState ${this._readyState} (${STATES[this._readyState]})`);
    if (this._readyState === CONNECTING) throw error;
    if (data) this._bufferedAmount += byteLength(data);
    if (callback) process.nextTick(callback, error);
  }

  // Whether a message may not be sent because the peer reads too slowly.
  _overflows(callback) {
    if (this.bufferedAmount <= this._maxBuffered) return false;
    const error = new Error(`More than ${this._maxBuffered} bytes wait for a peer that reads too slowly`);
    error.code = 'ROPEWAY_ERR_MAX_BUFFERED';
    if (callback) process.nextTick(callback, error);
    // A close frame would wait behind all the rest.
    if (this._options.maxBuffered.then === 'close') this.terminate();
    return true;
  }

  _laneSettings(options) {
    const deflate = this._extensions[negotiation.NAME];
    return {
      isServer: this._isServer,
      maxPayload: limit(options.maxPayload),
      maxFragments: limit(options.maxFragments),
      maxBufferedChunks: limit(options.maxBufferedChunks),
      skipUTF8Validation: !!options.skipUTF8Validation,
      allowSynchronousEvents: !!options.allowSynchronousEvents,
      generateMask: options.generateMask,
      deflate: deflate ? negotiation.laneSettings(options.perMessageDeflate, deflate.params, this._isServer) : null
    };
  }

  _facade(name, Class) {
    if (this._facades === null) this._facades = {};
    return (this._facades[name] ??= new Class(this));
  }
}

STATES.forEach((name, value) => {
  for (const owner of [WebSocket, WebSocket.prototype]) Object.defineProperty(owner, name, { enumerable: true, value });
});

for (const name of ['binaryType', 'bufferedAmount', 'extensions', 'isPaused', 'protocol', 'readyState', 'url']) {
  Object.defineProperty(WebSocket.prototype, name, { enumerable: true });
}

defineAttributes(WebSocket.prototype);
Object.assign(WebSocket.prototype, eventTarget);

module.exports = WebSocket;
