// The sending side of a lane: frames are queued in the addon and written together, callbacks are called in order. How bytes are
// written is the lane's own matter: `flush`.
'use strict';

const { frame } = require('./frame');
const hub = require('./hub');

const { native } = hub;

const BINARY = 1;
const LAST = 2;
const COMPRESS = 4;
const KEY = 8;
const STRING = 16;

/** Frames are written at once when so many bytes wait. */
const FLUSH_FROM = 64 * 1024;

/** What `native.send` returns for a text in bytes that is not UTF-8. */
const NOT_UTF8 = -1;

class Outbound {
  constructor(inbound, settings) {
    this.id = inbound.id;
    this.isServer = settings.isServer;
    this.generateMask = settings.isServer ? undefined : settings.generateMask;
    /** The callbacks of frames that are queued in the addon. */
    this.callbacks = [];
    /** Whether this tick has written a frame, so that further ones wait for its end. */
    this.hasWritten = false;
    /** Whether `settle` will be called. */
    this.isRestless = false;
    /** Whether a message in fragments is sent that the addon does not know of. */
    this.isRawMidway = false;
    this.isDetached = false;
  }

  get buffered() {
    return 0;
  }

  send(data, isBinary, options, cb) {
    let flags = LAST | COMPRESS | (isBinary ? BINARY : 0) | (typeof data === 'string' ? STRING : 0);
    if (options !== null && options !== undefined) {
      if (this.isRawMidway || isForeign(options.mask, this.isServer)) return this.sendRaw(data, isBinary, options, cb);
      if (options.fin === false) flags &= ~LAST;
      if (options.compress === false) flags &= ~COMPRESS;
    }
    const key = this.generateMask === undefined ? 0 : this.makeKey();
    if (this.generateMask !== undefined) flags |= KEY;
    const waiting = native.send(this.id, data, flags, key);
    // The core sends no such text; ws leaves that to the peer.
    if (waiting === NOT_UTF8) return this.sendRaw(data, isBinary, options || {}, cb);
    this.queued(waiting, cb);
  }

  control(opcode, payload, options, cb) {
    if (options && isForeign(options.mask, this.isServer)) return this.raw(this.encode(payload, opcode, true, options.mask), cb);
    const key = this.generateMask === undefined ? 0 : this.makeKey();
    const waiting = native.control(this.id, opcode, payload, this.generateMask === undefined ? 0 : KEY, key);
    this.queued(waiting, cb);
    // A close frame is the last that is sent: there is nothing to wait for.
    if (opcode === 8) this.flush();
  }

  /** Sends a data frame that the core does not make. It is not compressed. */
  sendRaw(data, isBinary, { fin = true, mask = !this.isServer }, cb) {
    const opcode = this.isRawMidway ? 0 : isBinary ? 2 : 1;
    this.isRawMidway = !fin;
    this.raw(this.encode(data, opcode, fin, mask), cb);
  }

  encode(data, opcode, fin, mask) {
    const payload = typeof data === 'string' ? Buffer.from(data) : data;
    return frame(payload, { fin, rsv1: false, opcode, mask, readOnly: true, generateMask: this.generateMask });
  }

  /** A masking key of the user's, as a number. */
  makeKey() {
    const key = Buffer.alloc(4);
    this.generateMask(key);
    return key.readUInt32BE(0);
  }

  /** Decides when a frame that was queued is written: now, or with others at the end of the tick. */
  queued(waiting, cb) {
    if (cb !== undefined) this.callbacks.push(cb);
    if (!this.isRestless) {
      this.isRestless = true;
      hub.settleLater(this);
    }
    if (this.hasWritten || hub.isDelivering()) {
      if (waiting >= FLUSH_FROM) this.flush();
      return;
    }
    this.hasWritten = true;
    this.flush();
  }

  /** The end of a tick. */
  settle() {
    this.isRestless = false;
    this.hasWritten = false;
    this.flush();
  }

  /** Takes the callbacks of all that is queued, as one. */
  takeCallbacks() {
    if (this.callbacks.length === 0) return undefined;
    const callbacks = this.callbacks;
    this.callbacks = [];
    return callbacks.length === 1 ? callbacks[0] : (error) => callAll(callbacks, 0, error);
  }

  /** Tells the callbacks that wait that their frames will not be written. */
  giveUp(error) {
    const callback = this.takeCallbacks();
    if (callback !== undefined) process.nextTick(callback, error);
  }
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
