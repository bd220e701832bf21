// The receiving side of a connection without a socket: chunks in, calls of an owner's methods out. Lanes and the exported
// `Receiver` have one each.
'use strict';

const { AsyncResource } = require('node:async_hooks');

const hub = require('./hub');
const { Queue } = require('./queue');

const { native, rows, TOP, SLICED, ROW, TEXT, BINARY, PING, PONG, CLOSE, REST } = hub;

/** The flags of `native.open`, as in src/settings.rs. */
const SERVER = 1;
const UNCHECKED = 2;
const DEFLATE = 4;
const SERVER_FORGETS = 8;
const CLIENT_FORGETS = 16;

/** No bytes and no events, shared by all connections. Nothing is ever added to them. */
const NONE = Object.freeze([]);
const NO_EVENTS = new Queue();

class Inbound {
  /** The owner and the settings are those of lib/lane.js. */
  constructor(owner, settings) {
    this.owner = owner;
    this.id = open(settings);
    /** Events that wait for their turn: after a handler threw, or if each has a turn of the event loop. */
    this.waiting = NO_EVENTS;
    /** Bytes that are still to be taken, behind the events that wait: a chunk that inflates to much is taken in slices. */
    this.rests = NONE;
    /** Whether a chunk is being taken: its handlers may make the peer answer before they return. */
    this.isTaking = false;
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

  /** Whether nothing waits: no event, and no bytes. */
  get isIdle() {
    return this.rests === NONE && this.waiting.length === 0;
  }

  /** Takes bytes of the peer. They are unmasked where they are, and payloads may be views of them. */
  feed(chunk) {
    if (!this.isTaking && this.rests === NONE) this.take(chunk);
    else if (this.rests === NONE) this.rests = [chunk];
    else this.rests.push(chunk);
  }

  /** Takes the bytes of a chunk up to the end of a slice. The others are taken later. */
  take(chunk) {
    let from = 0;
    let isSliced = false;
    this.isTaking = true;
    try {
      while (from < chunk.length && !this.isOver && !isSliced) {
        const start = rows[TOP];
        from = native.feed(this.id, chunk, from);
        isSliced = rows[SLICED] !== 0;
        if (rows[TOP] !== start) this.deliver(chunk, start, rows[TOP]);
      }
    } finally {
      this.isTaking = false;
      if (from < chunk.length) this.keepRest(chunk.subarray(from));
      this.schedule();
    }
  }

  /**
   * Keeps bytes that are to be taken before all others. They are copied: a message that the program has may lie in the same memory,
   * and can be transferred away.
   */
  keepRest(rest) {
    if (this.isOver) return;
    const copy = Buffer.from(rest);
    if (this.rests === NONE) this.rests = [copy];
    else this.rests.unshift(copy);
  }

  /** Takes the next slice of the bytes that wait. */
  takeRest() {
    this.isScheduled = false;
    const { rests } = this;
    if (rests === NONE) return;
    const chunk = rests.shift();
    if (rests.length === 0) this.rests = NONE;
    try {
      this.take(chunk);
    } finally {
      this.goOn();
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
        this.emit(kind, rows[at + 4], rows[at + 3], kind > CLOSE && kind !== REST ? hub.EMPTY : hub.payload(chunk, at));
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
      case REST:
        this.keepRest(data);
        this.schedule();
        break;
      default:
        this.isOver = true;
        this.owner._onViolation(value, length);
    }
  }

  /** Keeps the events of rows for later. Their views hold the memory. */
  keep(chunk, start, end) {
    if (this.waiting === NO_EVENTS) this.waiting = new Queue();
    for (let at = start; at < end; at += ROW) {
      const kind = rows[at + 1] & 0xff;
      if (kind === REST) {
        // It is the last row of its connection.
        this.keepRest(hub.payload(chunk, at));
        break;
      }
      const data = kind > CLOSE ? hub.EMPTY : hub.payload(chunk, at);
      this.waiting.push({ kind, value: rows[at + 4], length: rows[at + 3], data });
    }
    this.schedule();
  }

  /** Sees to it that what waits is delivered: events first, then bytes. */
  schedule() {
    if (this.isScheduled || this.isIdle) return;
    this.isScheduled = true;
    if (this.waiting.length === 0) hub.sliceLater(AsyncResource.bind(takeLater.bind(undefined, this)));
    else if (this.isFair) setImmediate(deliverLater, this);
    else process.nextTick(deliverLater, this);
  }

  /** Delivers the next event that waits, or all of them if they need no turn of their own. */
  deliverWaiting() {
    this.isScheduled = false;
    try {
      do {
        if (this.waiting.length === 0 || this.isOver) break;
        const event = this.waiting.take();
        this.emit(event.kind, event.value, event.length, event.data);
        // A close frame and a violation need no turn of their own.
      } while (!this.isFair || (this.waiting.length > 0 && this.waiting.first.kind >= CLOSE));
    } finally {
      this.goOn();
    }
  }

  /** Something that waited was delivered. */
  goOn() {
    if (this.isOver) this.forget();
    this.schedule();
    if (this.isIdle && this.onIdle !== null) {
      const { onIdle } = this;
      this.onIdle = null;
      onIdle();
    }
  }

  /** Drops all that waits. */
  forget() {
    this.waiting = NO_EVENTS;
    this.rests = NONE;
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

function takeLater(inbound) {
  inbound.takeRest();
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
    number(deflate.threshold, 1024), number(deflate.level, 6), number(deflate.memLevel, 8)
  );
}

/** zlib's -1 is its default too. */
function number(value, fallback) {
  return typeof value === 'number' && value >= 0 ? value : fallback;
}

module.exports = { Inbound };
