'use strict';

// Facade: `_sender` and `_receiver` of a WebSocket, for programs that reach for them. The work is done by the lane.

const EventEmitter = require('events');

// The numbers of npm `ws`'s own states; its tests read them.
const IDLE = 0;
const DEFLATING = 1;
const READING_BLOB = 2;
const INFLATING = 5;

/** `_sender`. engine.io calls `sendFrame`. */
class SenderFacade {
  constructor(wire) {
    this._wire = wire;
  }

  /**
   * Sends a frame that the program has encoded, as `Sender.frame` does.
   *
   * @param {(Buffer|string)[]} list The header, and the payload.
   * @param {Function} [callback]
   */
  sendFrame(list, callback) {
    const buffers = list.map((part) => (typeof part === 'string' ? Buffer.from(part) : part));
    this._wire.raw(buffers, callback);
  }

  get _bufferedBytes() {
    const { outbox, websocket } = this._wire;
    return websocket._bufferedAmount + (outbox === null ? 0 : outbox.bytes);
  }

  get _extensions() {
    return this._wire.websocket._extensions;
  }

  get _socket() {
    return this._wire.socket;
  }

  get _state() {
    if (this._wire.outbox !== null) return READING_BLOB;
    return compresses(this._wire) ? DEFLATING : IDLE;
  }
}

/** `_receiver`. It emits `'conclude'` when the peer's close frame has come. */
class ReceiverFacade extends EventEmitter {
  constructor(wire) {
    super();
    this._wire = wire;
  }

  get _binaryType() {
    return this._wire.websocket._binaryType;
  }

  get _extensions() {
    return this._wire.websocket._extensions;
  }

  get _isServer() {
    return this._wire.websocket._isServer;
  }

  get _maxBufferedChunks() {
    return this._wire.options.maxBufferedChunks | 0;
  }

  get _maxFragments() {
    return this._wire.options.maxFragments | 0;
  }

  get _maxPayload() {
    return this._wire.options.maxPayload | 0;
  }

  // A compressed message is inflated where it is parsed, so there is no moment at which this could be asked and be anything else.
  get _state() {
    return compresses(this._wire) ? INFLATING : IDLE;
  }

  get _totalPayloadLength() {
    return this._wire.lane.received;
  }
}

function compresses({ websocket }) {
  return Object.keys(websocket._extensions).length > 0;
}

module.exports = { ReceiverFacade, SenderFacade };
