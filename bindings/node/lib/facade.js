'use strict';

// Facade: `_sender` and `_receiver` of a WebSocket, for programs that reach for them. The work is done by the lane.

const EventEmitter = require('events');
const { getDefaultHighWaterMark } = require('stream');

const { inContext } = require('./callback');

// The numbers of npm `ws`'s own states; its tests read them.
const IDLE = 0;
const DEFLATING = 1;
const READING_BLOB = 2;
const INFLATING = 5;

// Node has told it since 18.17.
const HIGH_WATER_MARK = getDefaultHighWaterMark ? getDefaultHighWaterMark(false) : 16 * 1024;

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
    this._wire.raw(buffers, inContext(callback));
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

  /** The reason why the first of the messages waits. */
  get _state() {
    if (this._wire.outbox !== null) return READING_BLOB;
    return this._wire.lane.hasLine ? DEFLATING : IDLE;
  }
}

/**
 * `_receiver`. It emits `'conclude'` when the peer's close frame has come.
 *
 * A chunk of at least the high-water mark sets `needDrain`, as in a `Writable`. The socket is then not resumed before `'drain'`, which
 * comes on the next tick. `ws` sets it if the chunk's last message takes time to inflate. The addon's own reads are no chunks, and do
 * not set it.
 */
class ReceiverFacade extends EventEmitter {
  constructor(wire) {
    super();
    this._wire = wire;
    this._writableState = { needDrain: false };
    // Whether somebody wanted the socket to be resumed meanwhile.
    this._resumes = false;
    this._watch(wire.lane);
  }

  // On this lane alone: a WebSocket whose receiver nobody asks for does not pay for it.
  _watch(lane) {
    const { pause, read, resume } = lane;
    lane.read = (chunk) => {
      if (chunk.length < HIGH_WATER_MARK) {
        read.call(lane, chunk);
        return;
      }
      this._writableState.needDrain = true;
      try {
        read.call(lane, chunk);
      } finally {
        process.nextTick(() => this._drain(lane, resume));
      }
    };
    lane.pause = () => {
      this._resumes = false;
      pause.call(lane);
    };
    lane.resume = () => {
      if (this._writableState.needDrain) this._resumes = true;
      else resume.call(lane);
    };
  }

  _drain(lane, resume) {
    this._writableState.needDrain = false;
    if (this._resumes) resume.call(lane);
    this._resumes = false;
    this.emit('drain');
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

  // A compressed message is inflated where it is parsed. A program that asks meanwhile would always find this, so it is always told.
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
