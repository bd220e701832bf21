'use strict';

// Walker: where frames and messages end in a stream of chunks. It reads headers (RFC 6455, section 5.2) and judges nothing:
// that is the core's work. The Receiver needs it for what the core does not tell.

const { Queue } = require('./queue');

// The part of a frame that comes next.
const HEADER = 0;
const LENGTH = 1;
const KEY = 2;
const PAYLOAD = 3;

class Walker {
  constructor() {
    /** The announced bytes of the message that is not finished yet. */
    this.announced = 0;
    /** How many chunks had to be walked for the part of a frame that is not complete yet. */
    this.chunks = 0;
    // For each finished message that nobody has asked for yet the lengths of its fragments; null if it was compressed.
    this.finished = new Queue();
    this.lengths = [];
    this.isCompressed = false;

    this.part = HEADER;
    this.missing = 2;
    this.bytes = 0;
    this.first = 0;
    this.isMasked = false;
    this.length = 0;
  }

  /** Walks over a chunk. */
  walk(chunk) {
    let at = 0;
    let completed = false;
    while (at < chunk.length) {
      const step = Math.min(this.missing, chunk.length - at);
      if (this.part === HEADER || this.part === LENGTH) this.read(chunk, at, step);
      at += step;
      this.missing -= step;
      while (this.missing === 0) {
        completed = true;
        this.chunks = at < chunk.length ? 1 : 0;
        this.next();
      }
    }
    if (!completed) this.chunks++;
  }

  /** The lengths of the fragments of the oldest finished message that was not asked for yet. */
  message() {
    return this.finished.take();
  }

  read(chunk, at, step) {
    for (let i = at; i < at + step; i++) this.bytes = this.bytes * 256 + chunk[i];
  }

  // The part that was read is complete: what it says, and which part follows.
  next() {
    const bytes = this.bytes;
    switch (this.part) {
      case HEADER: {
        const second = bytes & 0xff;
        this.first = bytes >> 8;
        this.isMasked = second >= 0x80;
        const length = second & 0x7f;
        if (length < 126) return this.measured(length);
        return this.expect(LENGTH, length === 126 ? 2 : 8);
      }
      case LENGTH:
        return this.measured(bytes);
      case KEY:
        return this.expect(PAYLOAD, this.length);
      default:
        return this.ended();
    }
  }

  measured(length) {
    this.length = length;
    // Control frames have opcodes from 8 on.
    if ((this.first & 0x08) === 0) {
      this.announced += length;
      if (this.lengths.length === 0) this.isCompressed = (this.first & 0x40) !== 0;
      this.lengths.push(length);
    }
    if (this.isMasked) this.expect(KEY, 4);
    else this.expect(PAYLOAD, length);
  }

  ended() {
    if ((this.first & 0x88) === 0x80) {
      this.finished.push(this.isCompressed ? null : this.lengths);
      this.lengths = [];
      this.announced = 0;
    }
    this.expect(HEADER, 2);
  }

  expect(part, missing) {
    this.part = part;
    this.missing = missing;
    this.bytes = 0;
  }
}

module.exports = { Walker };
