'use strict';

// WebSocket: the class that programs use, its states, and which call is allowed in which of them. The rest is left to the wire,
// and to the files of opening and closing.

const EventEmitter = require('events');

const { abandon, connect, kOpening } = require('./client');
const closing = require('./closing');
const { defineAttributes, eventTarget } = require('./events');
const { EMPTY } = require('./lane');
const { PING, PONG } = require('./opcode');
const { byteLength } = require('./payload');
const { CLOSED, CLOSING, CONNECTING, NAMES, OPEN } = require('./ready-state');
const { Wire } = require('./wire');

const { kWire } = closing;

const BINARY_TYPES = ['nodebuffer', 'arraybuffer', 'fragments'];
if (typeof Blob !== 'undefined') BINARY_TYPES.push('blob');

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
    this._errorEmitted = false;
    this._extensions = NONE;
    this._paused = false;
    this._protocol = '';
    this._readyState = CONNECTING;
    this._socket = null;
    // Bytes that were to be sent when it was too late; `bufferedAmount` keeps them, as in browsers.
    this._bufferedAmount = 0;
    this._autoPong = true;
    this._closeTimeout = 0;
    this._isServer = address === null;
    this._redirects = 0;
    this._url = undefined;
    this._req = undefined;
    this[kOpening] = null;
    this[kWire] = null;

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
    return this._bufferedAmount + (this[kWire] === null ? 0 : this[kWire].buffered);
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
    this._socket = socket;
    this[kWire] = new Wire(this, socket, options);
    this[kWire].connect(head);
    this._readyState = OPEN;
    this.emit('open');
  }

  /** @private */
  emitClose() {
    if (this[kWire] !== null) this[kWire].end();
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
    if (this._readyState === OPEN) closing.begin(this[kWire], closing.closePayload(code, reason));
    else if (this._readyState === CONNECTING && this[kOpening] !== null) abandon(this);
    else if (this._readyState === CLOSING && this[kWire] !== null) closing.advance(this[kWire]);
  }

  /** Destroys the socket. */
  terminate() {
    if (this._readyState === CLOSED) return;
    if (this._readyState === CONNECTING && this[kOpening] !== null) {
      abandon(this);
    } else if (this._socket !== null) {
      this._readyState = CLOSING;
      // Frames of this tick are with the kernel in `ws`, which writes at once.
      this[kWire].lane.flush();
      this._socket.destroy();
    }
  }

  /** Stops reading. Events of what is read already still come. */
  pause() {
    if (this._readyState === CONNECTING || this._readyState === CLOSED) return;
    this._paused = true;
    this[kWire]?.lane.pause();
  }

  /** Goes on reading. */
  resume() {
    if (this._readyState === CONNECTING || this._readyState === CLOSED) return;
    this._paused = false;
    this[kWire]?.lane.resume();
  }

  /**
   * Sends a ping.
   *
   * @param {any} [data] At most 125 bytes.
   * @param {boolean} [mask]
   * @param {Function} [callback]
   */
  ping(data, mask, callback) {
    pingOrPong(this, PING, data, mask, callback);
  }

  /**
   * Sends a pong that nobody asked for. The answers to pings are sent by themselves.
   *
   * @param {any} [data] At most 125 bytes.
   * @param {boolean} [mask]
   * @param {Function} [callback]
   */
  pong(data, mask, callback) {
    pingOrPong(this, PONG, data, mask, callback);
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
      refuse(this, data, callback);
      return;
    }
    this[kWire].send(data, options, callback);
  }

  get _sender() {
    return this[kWire] === null ? null : this[kWire].sender;
  }

  get _receiver() {
    return this[kWire] === null ? null : this[kWire].receiver;
  }

  get _closeFrameSent() {
    return this[kWire] !== null && closing.isSent(this[kWire]);
  }

  get _closeFrameReceived() {
    return this[kWire] !== null && closing.isReceived(this[kWire]);
  }
}

NAMES.forEach((name, value) => {
  for (const owner of [WebSocket, WebSocket.prototype]) Object.defineProperty(owner, name, { enumerable: true, value });
});

for (const name of ['binaryType', 'bufferedAmount', 'extensions', 'isPaused', 'protocol', 'readyState', 'url']) {
  Object.defineProperty(WebSocket.prototype, name, { enumerable: true });
}

defineAttributes(WebSocket.prototype);
Object.assign(WebSocket.prototype, eventTarget);

function pingOrPong(websocket, opcode, data, mask, callback) {
  if (typeof data === 'function') {
    callback = data;
    data = mask = undefined;
  } else if (typeof mask === 'function') {
    callback = mask;
    mask = undefined;
  }
  if (typeof data === 'number') data = data.toString();
  if (websocket._readyState !== OPEN) refuse(websocket, data, callback);
  else websocket[kWire].pingOrPong(opcode, data, mask, callback);
}

// Too early is a mistake of the program; too late happens to each, since the peer may close at any time.
function refuse(websocket, data, callback) {
  const { _readyState: state } = websocket;
  const error = new Error(`WebSocket is not open: readyState ${state} (${NAMES[state]})`);
  if (state === CONNECTING) throw error;
  if (data) websocket._bufferedAmount += byteLength(data);
  if (callback) process.nextTick(callback, error);
}

module.exports = WebSocket;
