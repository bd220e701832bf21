'use strict';

// Wire: the inside of an open WebSocket. Sends go down to the lane in the order of the calls, and the lane's events come up.
//
// It is an object of its own so that a class which extends WebSocket has all names but those of npm's `ws` for itself.

const { inContext } = require('./callback');
// As a global it is a getter, which costs a fiftieth of a short message.
const { Buffer } = require('node:buffer');

const closing = require('./closing');
const { ReceiverFacade, SenderFacade } = require('./facade');
const { Keepalive } = require('./keepalive');
const { EMPTY, attach } = require('./lane');
const negotiation = require('./negotiation');
const { LONGEST_CONTROL, PONG } = require('./opcode');
const { limit } = require('./options');
const { Outbox } = require('./outbox');
const { byteLength, isBlob, toBinaryType, toBuffer } = require('./payload');
const { OPEN } = require('./ready-state');

// The options of a message that a server sends uncompressed.
const UNCOMPRESSED = Object.freeze({ compress: false, fin: true, mask: false });

class Wire {
  /**
   * @param {import('./websocket')} websocket
   * @param {import('stream').Duplex} socket
   * @param {Object} options Those of the client, or of the server for all its connections.
   */
  constructor(websocket, socket, options) {
    this.websocket = websocket;
    this.socket = socket;
    this.options = options;
    this.lane = null;
    this.keepalive = null;
    this.outbox = null;
    // The message whose fragments are being sent.
    this.fragment = null;
    this.pendingPongs = 0;
    // A set of the steps of lib/closing.js.
    this.closing = 0;
    this.facades = null;
  }

  /**
   * Takes the socket over.
   *
   * @param {Buffer} head The bytes that came behind the handshake. They are delivered later.
   */
  connect(head) {
    const { socket, options } = this;
    if (socket.setTimeout) socket.setTimeout(0);
    if (socket.setNoDelay) socket.setNoDelay();
    this.lane = attach(socket, head, this, this.settings());
    closing.watch(this);
    if (options.keepalive) this.keepalive = new Keepalive(this, options.keepalive);
  }

  /** Frees everything. The socket is closed. */
  end() {
    if (this.keepalive !== null) this.keepalive.stop();
    if (this.deflate) this.deflate.cleanup();
  }

  /** The bytes that wait in this process. */
  get buffered() {
    const waiting = this.outbox === null ? 0 : this.outbox.bytes;
    return this.socket._writableState.length + this.lane.buffered + waiting;
  }

  /** See `WebSocket.prototype.send`. The data is no number. */
  send(data, options, callback) {
    const { isServer } = this;
    // An empty string stays a text.
    let isBinary = typeof data !== 'string';
    let laneOptions = null;
    // Anything else has none of the options, and is no mistake in `ws`.
    if (options !== null && typeof options === 'object') {
      // An option that is there counts, even if it is undefined: then it is false, as in `ws`. The names are written out because a
      // loop over them takes five times as long.
      let { binary, compress, fin, mask } = options;
      if (binary === undefined && !('binary' in options)) binary = isBinary;
      if (compress === undefined && !('compress' in options)) compress = true;
      if (fin === undefined && !('fin' in options)) fin = true;
      if (mask === undefined && !('mask' in options)) mask = !isServer;
      isBinary = !!binary;
      if (!compress || !fin || !mask !== isServer) laneOptions = { compress: !!compress, fin: !!fin, mask: !!mask };
    }
    // Data of the wrong type throws before anything changes.
    const isPlain = typeof data === 'string' || Buffer.isBuffer(data);
    const payload = isPlain || isBlob(data) ? data : toBuffer(data || EMPTY);

    callback = inContext(callback);
    if (this.fragment !== null || (laneOptions !== null && !laneOptions.fin)) {
      this.sendFragment(payload, isBinary, laneOptions || { compress: true, fin: true, mask: !isServer }, callback);
    } else if (this.overflows()) {
      this.drop(callback);
    } else {
      this.pass(payload, isBinary, laneOptions, callback);
    }
  }

  /**
   * See `WebSocket.prototype.ping`.
   *
   * @param {number} opcode 9 or 10.
   * @param {any} data No number.
   * @param {boolean} [mask]
   * @param {Function} [callback]
   */
  pingOrPong(opcode, data, mask, callback) {
    if (byteLength(data || EMPTY) > LONGEST_CONTROL) {
      throw new RangeError(`The data size must not be greater than ${LONGEST_CONTROL} bytes`);
    }
    callback = inContext(callback);
    if (!isBlob(data)) {
      this.control(opcode, toBuffer(data || EMPTY), mask, callback);
      return;
    }
    const options = mask === undefined ? null : { mask: !!mask };
    this.box().addBlob(data, (bytes) => this.lane.control(opcode, bytes, options, callback), callback);
  }

  /** Sends a control frame. `payload` is whole, and has at most 125 bytes. */
  control(opcode, payload, mask, callback) {
    const options = mask === undefined || !mask === this.isServer ? null : { mask: !!mask };
    this.inTurn(payload.length, () => this.lane.control(opcode, payload, options, callback), callback);
  }

  /** Sends frames that are encoded already. */
  raw(list, callback) {
    const bytes = list.reduce((sum, { length }) => sum + length, 0);
    this.inTurn(bytes, () => this.lane.raw(list, callback), callback);
  }

  /** Sends a message of `broadcast`, and says whether it did. */
  broadcast(message) {
    if (this.overflows()) {
      this.drop();
      return false;
    }
    if (this.fragment !== null) {
      this.fragment.held.push(message);
      return true;
    }
    const compressed = message.compressedFor(this.deflate);
    if (compressed !== null) {
      this.raw([compressed]);
      return true;
    }
    const { payload, isBinary } = message;
    const options = this.deflate ? UNCOMPRESSED : null;
    this.inTurn(payload.length, () => this.lane.send(payload, isBinary, options));
    return true;
  }

  // The lane calls these, in the socket's async scope.

  _onMessage(data, isBinary) {
    const { websocket } = this;
    if (this.keepalive !== null) this.keepalive.heard();
    if (isBinary && websocket._binaryType !== 'nodebuffer') data = toBinaryType(data, websocket._binaryType);
    websocket.emit('message', data, isBinary);
  }

  // RFC 6455 section 5.5.2: a pong is sent "in response, unless it already received a Close frame". It goes before the event.
  _onPing(data) {
    const { websocket } = this;
    if (this.keepalive !== null) this.keepalive.heard();
    if (websocket._autoPong && websocket._readyState === OPEN) {
      const max = limit(this.options.maxPendingAutoPongs);
      if (max > 0 && this.pendingPongs >= max) this.websocket.terminate();
      else this.answer(data);
    }
    websocket.emit('ping', data);
  }

  _onPong(data) {
    if (this.keepalive !== null) this.keepalive.heard();
    this.websocket.emit('pong', data);
  }

  _onCloseFrame(code, reason) {
    closing.received(this, code, reason);
    const facade = this.facades === null ? null : this.facades.receiver;
    if (facade !== null) facade.emit('conclude', code, reason);
  }

  _onViolation(kind, value) {
    closing.violated(this, kind, value);
  }

  answer(data) {
    this.pendingPongs++;
    this.control(PONG, data, undefined, () => {
      this.pendingPongs--;
    });
  }

  // The first fragment decides about the whole message (RFC 6455 section 5.4, RFC 7692 section 6.1), and whether it is dropped.
  sendFragment(payload, isBinary, { compress, fin, mask }, callback) {
    const message = this.fragment || { isBinary, compress, isDropped: this.overflows(), held: [] };
    this.fragment = fin ? null : message;
    if (message.isDropped) this.drop(callback);
    else this.pass(payload, message.isBinary, { compress: message.compress, fin, mask }, callback);
    if (fin) for (const held of message.held) this.broadcast(held);
  }

  // To the lane, or into the outbox if something waits there.
  pass(payload, isBinary, options, callback) {
    if (this.outbox === null && (typeof payload === 'string' || Buffer.isBuffer(payload))) {
      this.lane.send(payload, isBinary, options, callback);
      return;
    }
    const send = (bytes) => this.lane.send(bytes, isBinary, options, callback);
    if (isBlob(payload)) this.box().addBlob(payload, send, callback);
    else this.outbox.add(byteLength(payload), () => send(payload), callback);
  }

  // Sends so many bytes now, or behind what waits in the outbox.
  inTurn(bytes, send, callback) {
    if (this.outbox === null) send();
    else this.outbox.add(bytes, send, callback);
  }

  box() {
    if (this.outbox === null) this.outbox = new Outbox(this);
    return this.outbox;
  }

  // Whether no further message may be sent, because the peer reads too slowly.
  overflows() {
    const { maxBuffered } = this.options;
    return !!maxBuffered && this.buffered > maxBuffered.bytes;
  }

  drop(callback) {
    const { bytes, then } = this.options.maxBuffered;
    const error = new Error(`More than ${bytes} bytes wait for a peer that reads too slowly`);
    error.code = 'ROPEWAY_ERR_MAX_BUFFERED';
    if (callback) process.nextTick(callback, error);
    // A close frame would wait behind all the rest.
    if (then === 'close') this.websocket.terminate();
  }

  settings() {
    const { deflate, isServer, options } = this;
    return {
      isServer,
      maxPayload: limit(options.maxPayload),
      maxFragments: limit(options.maxFragments),
      skipUTF8Validation: !!options.skipUTF8Validation,
      allowSynchronousEvents: !!options.allowSynchronousEvents,
      generateMask: options.generateMask,
      deflate: deflate ? negotiation.laneSettings(options.perMessageDeflate, deflate.params, isServer) : null
    };
  }

  /** The extension that was agreed, if it was. */
  get deflate() {
    return this.websocket._extensions[negotiation.NAME];
  }

  get isServer() {
    return this.websocket._isServer;
  }

  // `_sender` and `_receiver` of the WebSocket are made when a program asks for them.

  get sender() {
    return (this.made().sender ??= new SenderFacade(this));
  }

  get receiver() {
    return (this.made().receiver ??= new ReceiverFacade(this));
  }

  made() {
    return (this.facades ??= { sender: null, receiver: null });
  }
}

module.exports = { Wire };
