// The receiving side of a connection without a socket: chunks in, calls of an owner's methods out. Lanes and the exported
// `Receiver` have one each.
'use strict';

const hub = require('./hub');

const { native, rows, TOP, ROW, TEXT, BINARY, PING, PONG, CLOSE } = hub;

/** The flags of `native.open`, as in src/settings.rs. */
const SERVER = 1;
const UNCHECKED = 2;
const DEFLATE = 4;
const SERVER_FORGETS = 8;
const CLIENT_FORGETS = 16;

/** The window in bits that messages are compressed with, if a larger one is agreed: see ropeway-proto's `Options`. */
const WINDOW_BITS = 12;

/** The list of nothing, shared by all. It is never written to. */
const NONE = Object.freeze([]);

/** Events are taken off the list of those that wait at most so many at a time. */
const AT_ONCE = 1024;

class Inbound {
  /** The owner and the settings are those of lib/lane.js. */
  constructor(owner, settings) {
    this.owner = owner;
    this.id = open(settings);
    /** Events that wait for their turn: after a handler threw, or if each has a turn of the event loop. */
    this.waiting = NONE;
    /** How many of them have been delivered. They are taken off many at a time: each shift would move all that is behind. */
    this.passed = 0;
    this.isFair = settings.allowSynchronousEvents === false;
    /** Whether a close frame or a violation was delivered, or the connection is freed: nothing follows. */
    this.isOver = false;
    /** Called when nothing waits any more. */
    this.onIdle = null;
    this.isScheduled = false;
    this.isFreed = false;
  }

  /** The bytes of the unfinished message that have come, inflated. */
  get received() {
    return this.isFreed ? 0 : native.received(this.id);
  }

  /** Takes bytes of the peer. They are unmasked where they are, and payloads may be views of them. */
  feed(chunk) {
    let from = 0;
    while (from < chunk.length && !this.isOver) {
      const start = rows[TOP];
      from = native.feed(this.id, chunk, from);
      try {
        if (rows[TOP] !== start) this.deliver(chunk, start, rows[TOP]);
      } catch (error) {
        // The rest of the chunk is still to be taken: its events go behind those that wait.
        if (from < chunk.length && !this.isOver) this.feedLater(chunk.subarray(from));
        throw error;
      }
    }
  }

  /** Takes the rest of a chunk though a handler has thrown. Its events are kept, as if each had a turn of its own, and delivered later. */
  feedLater(rest) {
    const { isFair } = this;
    this.isFair = true;
    try {
      this.feed(rest);
    } finally {
      this.isFair = isFair;
    }
  }

  /** Delivers the rows on top of the table, and takes them off. */
  deliver(chunk, start, end) {
    hub.enter();
    try {
      this.deliverBatch(chunk, start, end);
    } finally {
      hub.leave(start);
    }
  }

  /** Delivers rows. If a handler throws, those behind its row are delivered on the next tick. */
  deliverBatch(chunk, start, end) {
    if (this.isFair || this.waiting.length > 0) {
      this.keep(chunk, start, end);
      return;
    }
    let at = start;
    try {
      for (; at < end && !this.isOver; at += ROW) {
        const kind = rows[at + 1] & 0xff;
        // A violation has a number where others have a length.
        this.emit(kind, rows[at + 4], rows[at + 3], kind > CLOSE ? hub.EMPTY : hub.payload(chunk, at));
      }
      at = end;
    } finally {
      if (at !== end) this.keep(chunk, at + ROW, end);
    }
  }

  /** Calls the owner's method for an event. */
  emit(kind, value, length, data) {
    switch (kind) {
      case BINARY: this.owner._onMessage(data, true); break;
      case TEXT: this.owner._onMessage(data, false); break;
      case PING: this.owner._onPing(data); break;
      case PONG: this.owner._onPong(data); break;
      case CLOSE:
        this.isOver = true;
        this.owner._onCloseFrame(value, data);
        break;
      default:
        this.isOver = true;
        this.owner._onViolation(value, length);
    }
  }

  /** Keeps the events of rows for later. Their views hold the memory. */
  keep(chunk, start, end) {
    if (this.waiting === NONE) this.waiting = [];
    for (let at = start; at < end; at += ROW) {
      const kind = rows[at + 1] & 0xff;
      const data = kind > CLOSE ? hub.EMPTY : hub.payload(chunk, at);
      this.waiting.push({ kind, value: rows[at + 4], length: rows[at + 3], data });
    }
    this.schedule();
  }

  schedule() {
    if (this.isScheduled || this.waiting.length === 0) return;
    this.isScheduled = true;
    if (this.isFair) setImmediate(deliverLater, this);
    else process.nextTick(deliverLater, this);
  }

  /** Delivers the next event that waits, or all of them if they need no turn of their own. */
  deliverWaiting() {
    this.isScheduled = false;
    try {
      do {
        if (this.waiting.length === 0 || this.isOver) break;
        const event = this.takeWaiting();
        this.emit(event.kind, event.value, event.length, event.data);
        // A close frame and a violation need no turn of their own.
      } while (!this.isFair || (this.waiting.length > 0 && this.waiting[this.passed].kind >= CLOSE));
    } finally {
      if (this.isOver) this.forget();
      this.schedule();
      if (this.waiting.length === 0 && this.onIdle !== null) {
        const { onIdle } = this;
        this.onIdle = null;
        onIdle();
      }
    }
  }

  /** Takes the next event that waits. There must be one. */
  takeWaiting() {
    const { waiting } = this;
    const event = waiting[this.passed];
    waiting[this.passed++] = undefined;
    if (this.passed === waiting.length || this.passed === AT_ONCE) {
      waiting.splice(0, this.passed);
      this.passed = 0;
    }
    return event;
  }

  /** Drops the events that wait. */
  forget() {
    this.waiting = NONE;
    this.passed = 0;
  }

  /** Gives the connection back. Nothing is delivered any more. */
  free() {
    if (this.isFreed) return;
    this.isFreed = true;
    this.isOver = true;
    this.forget();
    native.close(this.id);
  }
}

function deliverLater(inbound) {
  inbound.deliverWaiting();
}

/** Makes a connection of the core and returns its id. */
function open(settings) {
  const { deflate } = settings;
  let flags = (settings.isServer ? SERVER : 0) | (settings.skipUTF8Validation ? UNCHECKED : 0);
  const payload = settings.maxPayload || 0;
  const fragments = settings.maxFragments || 0;
  if (!deflate) return native.open(flags, payload, fragments);
  flags |= DEFLATE | (deflate.serverNoContextTakeover ? SERVER_FORGETS : 0) | (deflate.clientNoContextTakeover ? CLIENT_FORGETS : 0);
  return native.open(
    flags, payload, fragments,
    deflate.serverMaxWindowBits || 15, deflate.clientMaxWindowBits || 15,
    number(deflate.threshold, 1024), number(deflate.level, 6), number(deflate.memLevel, 8), number(deflate.windowBits, WINDOW_BITS)
  );
}

/** zlib's -1 is its default too. */
function number(value, fallback) {
  return typeof value === 'number' && value >= 0 ? value : fallback;
}

module.exports = { Inbound };
