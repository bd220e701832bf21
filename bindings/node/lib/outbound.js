// The sending side of a lane: frames are queued in the addon and written together, callbacks are called in order. How bytes are
// written is the lane's own matter: `flush`, `rawNow`, `writeLarge`.
//
// A message that will be compressed waits in a line until the end of the turn of the event loop, and all that is sent behind it waits
// too. A short one is compressed then, a long one on another thread, which the line waits for.
'use strict';

// As a global it is a getter, which costs a fiftieth of a short message.
const { Buffer } = require('node:buffer');

const { frame, unmaskedHeader } = require('./frame');
const hub = require('./hub');
const opcodes = require('./opcode');

const { native } = hub;

// The flags of `native.send`, as in src/commands.rs.
const BINARY = 1;
const LAST = 2;
const COMPRESS = 4;
const KEY = 8;
const STRING = 16;
const BACKGROUND = 32;

/** Frames are written at once when so many bytes wait. */
const FLUSH_FROM = 64 * 1024;

/** The result of `native.send` for a text in bytes that is not UTF-8. */
const NOT_UTF8 = -1;

/** Its result if the message is compressed in the background. */
const WORKING = -2;

/**
 * A server's message from this length on is written at once, from the memory in which it lies: that costs one write more and saves
 * two copies. As with ws, a program must not change it before its callback.
 */
const LARGE_FROM = 32 * 1024;

/** Messages from this length on are compressed in the background: a shorter one takes less than a millisecond. */
const BACKGROUND_FROM = 64 * 1024;

/** The list of nothing, shared by all. It is never written to. */
const NONE = Object.freeze([]);

class Outbound {
  constructor(inbound, settings) {
    this.id = inbound.id;
    this.isServer = settings.isServer;
    this.generateMask = settings.isServer ? undefined : settings.generateMask;
    /** The callbacks of frames that are queued in the addon. */
    this.callbacks = NONE;
    /** Whether this tick has written a frame, so that further ones wait for its end. */
    this.hasWritten = false;
    /** Whether `settle` will be called. */
    this.isRestless = false;
    /** From which length on messages are compressed; -1 if none is. */
    this.threshold = settings.deflate ? settings.deflate.threshold : -1;
    /** The sends that wait for a message to be compressed: `{ length, cb, run }`. */
    this.line = NONE;
    /** The bytes of messages that wait in the line or are being compressed, as they were given. */
    this.buffered = 0;
    /** The length of the message that is compressed in the background, or -1. */
    this.atWork = -1;
    /** Whether the line will be looked after behind this turn of the event loop. */
    this.isAwaited = false;
    /** Whether a message is sent in fragments, which are not compressed. */
    this.isMidway = false;
    /** Whether a message in fragments is sent that the addon does not know of. */
    this.isRawMidway = false;
    /** Whether the addon was given a fragment, and not the last one. */
    this.isAddonMidway = false;
    this.isDetached = false;
  }

  send(data, isBinary, options, cb) {
    if (this.threshold >= 0) {
      const length = typeof data === 'string' ? Buffer.byteLength(data) : data.length;
      const compresses = this.compresses(length, options);
      this.isMidway = Boolean(options) && options.fin === false;
      if (compresses || this.hasLine) {
        const background = compresses && length >= BACKGROUND_FROM ? BACKGROUND : 0;
        return this.wait(length, cb, () => this.sendNow(data, isBinary, options, cb, hub.isExiting() ? 0 : background, length));
      }
    }
    this.sendNow(data, isBinary, options, cb, 0, 0);
  }

  /** Whether frames that are sent now have to wait behind a message that is compressed. */
  get hasLine() {
    return this.line.length > 0 || this.atWork >= 0;
  }

  /** Whether a message is compressed. */
  compresses(length, options) {
    if (length < this.threshold || this.isMidway || this.isRawMidway) return false;
    return !options || (options.compress !== false && options.fin !== false && !isForeign(options.mask, this.isServer));
  }

  sendNow(data, isBinary, options, cb, background, length) {
    let flags = background | LAST | COMPRESS | (isBinary ? BINARY : 0) | (typeof data === 'string' ? STRING : 0);
    if (options !== null && options !== undefined) {
      if (this.isRawMidway || isForeign(options.mask, this.isServer)) return this.sendRaw(data, isBinary, options, cb);
      if (options.fin === false) flags &= ~LAST;
      if (options.compress === false) flags &= ~COMPRESS;
    }
    const isFirst = !this.isAddonMidway;
    this.isAddonMidway = (flags & LAST) === 0;
    if (this.isServer && data.length >= LARGE_FROM && isFirst && (flags & (LAST | STRING)) === LAST) {
      const isCompressed = this.threshold >= 0 && (flags & COMPRESS) !== 0 && data.length >= this.threshold;
      if (!isCompressed) return this.writeLarge(unmaskedHeader(data.length, { fin: true, opcode: opcodeOf(isBinary) }), data, cb);
    }
    if (this.generateMask !== undefined) flags |= KEY;
    const waiting = native.send(this.id, data, flags, this.makeKey());
    // The core sends no such text; ws leaves that to the peer.
    if (waiting === NOT_UTF8) return this.sendRaw(data, isBinary, options || {}, cb);
    if (waiting === WORKING) {
      this.flush();
      this.remember(cb);
      this.atWork = length;
      this.buffered += length;
      hub.working.set(this.id, this);
      return;
    }
    this.queued(waiting, cb);
  }

  /** Waits in the line. */
  wait(length, cb, run) {
    this.buffered += length;
    if (this.line === NONE) this.line = [];
    this.line.push({ length, cb, run });
    if (hub.isInTurn()) return this.rest();
    if (this.isAwaited) return;
    this.isAwaited = true;
    setImmediate(advanceLater, this);
  }

  /** A message was compressed in the background, and is queued. */
  worked() {
    this.buffered -= this.atWork;
    this.atWork = -1;
    this.flush();
    this.advance();
    this.flush();
  }

  /** Sends what waits in the line, up to the next message that is compressed in the background. */
  advance() {
    // Behind a destroyed socket the line is dropped, by `end` or `detach`.
    const { line } = this;
    let at = 0;
    // `run` may add to the line, and may drop it.
    try {
      while (line === this.line && at < line.length && this.atWork < 0 && !this.socket.destroyed) {
        const { length, run } = line[at++];
        this.buffered -= length;
        run();
      }
    } finally {
      // In one go: each shift would move all that is behind.
      line.splice(0, at);
    }
  }

  control(opcode, payload, options, cb) {
    if (this.hasLine) {
      return this.wait(payload.length, cb, () => this.controlNow(opcode, payload, options, cb));
    }
    this.controlNow(opcode, payload, options, cb);
  }

  controlNow(opcode, payload, options, cb) {
    if (options && isForeign(options.mask, this.isServer)) return this.rawNow(this.encode(payload, opcode, true, options.mask), cb);
    const waiting = native.control(this.id, opcode, payload, this.generateMask === undefined ? 0 : KEY, this.makeKey());
    this.queued(waiting, cb);
    // A close frame is the last that is sent: there is nothing to wait for.
    if (opcode === opcodes.CLOSE) this.flush();
  }

  raw(list, cb) {
    if (this.hasLine) {
      return this.wait(list.reduce((sum, part) => sum + part.length, 0), cb, () => this.rawNow(list, cb));
    }
    this.rawNow(list, cb);
  }

  /** Sends a data frame that the core does not make. It is not compressed. */
  sendRaw(data, isBinary, { fin = true, mask = !this.isServer }, cb) {
    const opcode = this.isRawMidway ? opcodes.CONTINUATION : opcodeOf(isBinary);
    this.isRawMidway = !fin;
    this.rawNow(this.encode(data, opcode, fin, mask), cb);
  }

  encode(data, opcode, fin, mask) {
    const payload = typeof data === 'string' ? Buffer.from(data) : data;
    return frame(payload, { fin, rsv1: false, opcode, mask, readOnly: true, generateMask: this.generateMask });
  }

  /** A masking key of the program's, as a number; 0 if the addon makes the keys. */
  makeKey() {
    if (this.generateMask === undefined) return 0;
    const key = Buffer.alloc(4);
    this.generateMask(key);
    return key.readUInt32BE(0);
  }

  /** Decides when a frame that was queued is written: now, or with others at the end of the tick. */
  queued(waiting, cb) {
    this.remember(cb);
    this.rest();
    if (this.hasWritten || hub.isDelivering()) {
      if (waiting >= FLUSH_FROM) this.flush();
      return;
    }
    this.hasWritten = true;
    this.flush();
  }

  /** Lets `settle` be called. */
  rest() {
    if (this.isRestless) return;
    this.isRestless = true;
    hub.settleLater(this);
  }

  /** The end of a tick. */
  settle() {
    this.isRestless = false;
    if (this.line.length === 0 || this.atWork >= 0) {
      this.hasWritten = false;
      this.flush();
      return;
    }
    // All of the line is written together.
    this.hasWritten = true;
    if (!this.isDetached) this.advance();
    this.hasWritten = false;
    this.flush();
  }

  remember(cb) {
    if (cb === undefined) return;
    if (this.callbacks === NONE) this.callbacks = [cb];
    else this.callbacks.push(cb);
  }

  /** Takes the callbacks of all that is queued, as one. */
  takeCallbacks() {
    if (this.callbacks.length === 0) return undefined;
    const callbacks = this.callbacks;
    this.callbacks = NONE;
    return callbacks.length === 1 ? callbacks[0] : (error) => callAll(callbacks, 0, error);
  }

  /**
   * Drops what waits in the line, and tells its callbacks so. Those before it are told first. `toError` makes the error: its stack
   * costs as much as a handshake's hash, and as a rule nothing waits.
   */
  dropLine(toError) {
    if (!this.hasLine) return;
    const isAtWork = this.atWork >= 0;
    const before = isAtWork ? this.takeCallbacks() : undefined;
    const callbacks = this.line.map(({ cb }) => cb).filter((cb) => cb !== undefined);
    this.line = NONE;
    if (before !== undefined) callbacks.unshift(before);
    hub.working.delete(this.id);
    this.atWork = -1;
    this.buffered = 0;
    callAll(callbacks, 0, toError());
  }

  /** Tells the callbacks that wait that their frames will not be written. */
  giveUp(toError) {
    const callback = this.takeCallbacks();
    if (callback !== undefined) process.nextTick(callback, toError());
  }
}

function advanceLater(lane) {
  lane.isAwaited = false;
  lane.settle();
}

function opcodeOf(isBinary) {
  return isBinary ? opcodes.BINARY : opcodes.TEXT;
}

/** Whether a frame is masked otherwise than its role wants. */
function isForeign(mask, isServer) {
  return mask !== undefined && Boolean(mask) === isServer;
}

/** Calls callbacks in order. If one throws, the others are called on the next tick. */
function callAll(callbacks, from, error) {
  let at = from;
  try {
    while (at < callbacks.length) callbacks[at++](error);
  } finally {
    if (at < callbacks.length) process.nextTick(callAll, callbacks, at, error);
  }
}

module.exports = { Outbound };
