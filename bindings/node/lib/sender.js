'use strict';

// Sender: the sending half of a connection, for those who use it without a WebSocket.
// It writes frames to a stream, in order, while messages are being compressed and blobs read.

const { closePayload } = require('./closing');
const { frame, unmaskedHeader } = require('./frame');
const { NAME } = require('./negotiation');
const { BINARY, CLOSE, CONTINUATION, LONGEST_CONTROL, PING, PONG, TEXT } = require('./opcode');
const { byteLength, isBlob, toBuffer } = require('./payload');
const { Queue } = require('./queue');

// States.
const IDLE = 0;
const DEFLATING = 1;
const READING_BLOB = 2;

class Sender {
  /**
   * @param {Duplex} socket The stream to write to.
   * @param {Object} [extensions] The extensions by their names; only permessage-deflate is used.
   * @param {Function} [generateMask] Fills a buffer of 4 bytes with a masking key.
   */
  constructor(socket, extensions, generateMask) {
    this._socket = socket;
    this._extensions = extensions || {};
    this._generateMask = generateMask;
    this._firstFragment = true;
    this._compress = false;
    this._bufferedBytes = 0;
    this._queue = new Queue();
    this._state = IDLE;
    /** Called with the error, if a blob could not be read. */
    this.onerror = () => {};
  }

  /** Encodes a frame: see frame.js. */
  static frame(data, options) {
    return frame(data, options);
  }

  /**
   * Sends a close frame.
   *
   * @param {number} [code] The close code; with none the frame is empty.
   * @param {string|Uint8Array} [data] The reason.
   * @param {boolean} [mask] Whether to mask it.
   * @param {Function} [cb] Called when it is written, or with an error.
   */
  close(code, data, mask, cb) {
    this._control(CLOSE, closePayload(code, data), mask, false, cb);
  }

  /** Sends a ping with up to 125 bytes. */
  ping(data, mask, cb) {
    this._shortMessage(PING, data, mask, cb);
  }

  /** Sends a pong with up to 125 bytes. */
  pong(data, mask, cb) {
    this._shortMessage(PONG, data, mask, cb);
  }

  /**
   * Sends a message, or a fragment of one.
   *
   * @param {*} data A string, a buffer, a view, an ArrayBuffer or a Blob.
   * @param {Object} options `binary`, `compress`, `fin`, `mask`.
   * @param {Function} [cb] Called when it is written, or with an error.
   */
  send(data, options, cb) {
    const size = byteLength(data);
    let rsv1 = false;
    let opcode = CONTINUATION;
    if (this._firstFragment) {
      // The first fragment decides for the whole message (RFC 7692, section 6.1).
      opcode = options.binary ? BINARY : TEXT;
      const extension = this._extensions[NAME];
      rsv1 = Boolean(options.compress && extension) && size >= extension._threshold;
      this._compress = rsv1;
    }
    this._firstFragment = Boolean(options.fin);

    const settings = { fin: options.fin, generateMask: this._generateMask, mask: options.mask, opcode, rsv1 };
    this._inTurn(data, size, settings, this._compress, cb);
  }

  /**
   * Writes the buffers of a frame.
   *
   * @param {(Buffer|string)[]} list The header and the payload, or both in one.
   * @param {Function} [cb] Called when they are written, or with an error.
   */
  sendFrame(list, cb) {
    if (list.length === 1) {
      this._socket.write(list[0], cb);
      return;
    }
    this._socket.cork();
    for (let i = 0; i < list.length - 1; i++) this._socket.write(list[i]);
    this._socket.write(list[list.length - 1], cb);
    this._socket.uncork();
  }

  _shortMessage(opcode, data, mask, cb) {
    if (byteLength(data) > LONGEST_CONTROL) throw new RangeError(`The data size must not be greater than ${LONGEST_CONTROL} bytes`);
    this._control(opcode, data, mask, true, cb);
  }

  _control(opcode, data, mask, readOnly, cb) {
    const settings = { fin: true, generateMask: this._generateMask, mask, opcode, readOnly, rsv1: false };
    this._inTurn(data, byteLength(data), settings, false, cb);
  }

  // Does it now, or behind what is being compressed or read.
  _inTurn(data, size, settings, compress, cb) {
    const job = { data, size, settings, compress, cb };
    if (this._state === IDLE) {
      this._start(job);
    } else {
      this._bufferedBytes += size;
      this._queue.push(job);
    }
  }

  _start(job) {
    if (isBlob(job.data)) this._read(job);
    else if (job.compress) this._deflate(job);
    else this._write(job);
  }

  _read(job) {
    this._wait(READING_BLOB, job);
    job.data.arrayBuffer().then(
      (buffer) => {
        if (this._socket.destroyed) {
          // Out of the promise: if a callback throws, that is an uncaught exception and not an unhandled rejection.
          process.nextTick(fail, this, job, new Error('The socket was closed while the blob was being read'));
          return;
        }
        this._go(job);
        job.data = Buffer.from(buffer);
        job.settings.readOnly = false;
        this._start(job);
        this._next();
      },
      (error) => process.nextTick(failToRead, this, job, error)
    );
  }

  _deflate(job) {
    this._wait(DEFLATING, job);
    const data = typeof job.data === 'string' ? job.data : toBuffer(job.data);
    this._extensions[NAME].compress(data, job.settings.fin, (error, compressed) => {
      if (error || this._socket.destroyed) {
        fail(this, job, new Error('The socket was closed while data was being compressed'));
        return;
      }
      this._go(job);
      job.data = compressed;
      job.settings.readOnly = false;
      this._write(job);
      this._next();
    });
  }

  _write({ data, settings, size, cb }) {
    if (typeof data === 'string' && !settings.mask) {
      // The stream encodes the string: its bytes need no buffer here.
      const header = unmaskedHeader(size, settings);
      this.sendFrame(data === '' ? [header] : [header, data], cb);
      return;
    }
    const { readOnly = true } = settings;
    this.sendFrame(frame(typeof data === 'string' ? data : toBuffer(data), { ...settings, readOnly }), cb);
  }

  _wait(state, job) {
    this._state = state;
    this._bufferedBytes += job.size;
  }

  _go(job) {
    this._state = IDLE;
    this._bufferedBytes -= job.size;
  }

  _next() {
    while (this._state === IDLE && this._queue.length > 0) {
      const job = this._queue.take();
      this._bufferedBytes -= job.size;
      this._start(job);
    }
  }
}

// The callbacks of a job and of all behind it get the error, in order.
function fail(sender, job, error) {
  const jobs = [job, ...sender._queue.takeAll()];
  for (const { cb } of jobs) if (typeof cb === 'function') cb(error);
}

function failToRead(sender, job, error) {
  fail(sender, job, error);
  sender.onerror(error);
}

module.exports = Sender;
