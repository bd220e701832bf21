// The table: the addon's memory as JavaScript sees it, and the lanes that have something to write.
//
// There is one of it in an environment, and it may outlive the registry of modules that made it: lib/hub.js.
//
// The addon appends rows to a table; each tells one event of one connection. A payload lies in the chunk that was fed, in a
// slab (an ArrayBuffer that the addon fills from the front), or in a buffer of its own. It is passed on as a view.
'use strict';

const { Buffer } = require('node:buffer');
const { setImmediate } = require('node:timers');
const { markAsUntransferable } = require('node:worker_threads');

const native = require('./load').load();

const { nextTick } = process;

const rows = new Uint32Array(native.rows);
const { slabs, externals } = native;

/** The words of the table's header, as in src/rows.rs. */
const TOP = 0;
const SLAB = 1;
const EXTERNALS = 2;
const OUT_SLOT = 3;
const OUT_OFFSET = 4;
const CURSOR = 5;
const END = 6;
const BATCH = 7;
const RESTLESS = 8;
const SLICED = 9;
const SLABS = 10;
const SCARCE = 11;

/** The table's first row. */
const FIRST = 16;

/** The value of OUT_SLOT for the first external buffer. */
const EXTERNAL = 0xffffffff;

/** The words of a row: connection; kind, source and slot; offset; length; value. */
const ROW = 5;

const TEXT = 1;
const BINARY = 2;
const PING = 3;
const PONG = 4;
const CLOSE = 5;
// 6 is a violation.
/** Rows of a descriptor alone: the peer has ended its half; reading failed. */
const ENDED = 7;
const FAILED = 8;
/** Bytes of a chunk that are to be taken later. */
const REST = 9;

/** The class of a Buffer that is a view of memory which exists already. */
const View = Buffer[Symbol.species];

/** The one empty payload. */
const EMPTY = Buffer.alloc(0);

/** How many batches of rows are being delivered: a handler may feed another connection. */
let depth = 0;

/** The payload of the row at a word. `chunk` is what was fed. */
function payload(chunk, at) {
  const length = rows[at + 3];
  if (length === 0) return EMPTY;
  const word = rows[at + 1];
  const offset = rows[at + 2];
  switch ((word >>> 8) & 0xff) {
    case 0: return new View(chunk.buffer, chunk.byteOffset + offset, length);
    case 1: return rows[SCARCE] === 0 ? viewOf(word >>> 16, offset, length) : copyOf(word >>> 16, offset, length);
    default: return new View(externals[offset], 0, length);
  }
}

/** The slab that was marked last. */
let marked = null;

/**
 * A part of a slab. Other messages lie in the same memory, so `postMessage` must not transfer it away: it then throws a
 * DataCloneError. `ArrayBuffer.prototype.transfer` is stopped by Node 24 and newer alone.
 */
function viewOf(slot, offset, length) {
  const slab = slabs[slot];
  if (slab.byteLength === 0) throw new Error(TRANSFERRED);
  if (slab !== marked) {
    if (markAsUntransferable !== undefined) markAsUntransferable(slab);
    marked = slab;
  }
  return new View(slab, offset, length);
}

/** The same, in memory of its own: the program keeps so many messages that slabs are scarce. */
function copyOf(slot, offset, length) {
  const copy = Buffer.allocUnsafeSlow(length);
  viewOf(slot, offset, length).copy(copy);
  return copy;
}

const TRANSFERRED = 'ropeway: a message is lost, because its memory was transferred away with that of another message. ' +
  'Copy a Buffer before its `buffer` is transferred.';

/** The bytes that `native.take` has just made ready to be written. */
function taken(length) {
  const slot = rows[OUT_SLOT];
  if (slot !== EXTERNAL) {
    const view = viewOf(slot, rows[OUT_OFFSET], length);
    if (depth === 0 && rows[TOP] === FIRST) letGo();
    return view;
  }
  const buffer = externals[0];
  externals[0] = undefined;
  return new View(buffer, 0, length);
}

/** Begins to deliver the rows up to the table's top. */
function enter() {
  depth++;
}

/** Takes the rows from a word on off the table. */
function leave(start) {
  rows[TOP] = start;
  if (--depth === 0) letGo();
}

/** Lets go of the memory that no row names any more. */
function letGo() {
  if (rows[SLAB] !== 0) {
    slabs[0] = slabs[rows[SLAB]];
    slabs.length = 1;
    rows[SLAB] = 0;
  }
  if (rows[EXTERNALS] !== 1) {
    externals.length = 1;
    rows[EXTERNALS] = 1;
  }
}

/** Whether handlers are being called for a batch of rows, or what they asked to be called behind them. */
function isDelivering() {
  return depth > 0 || rows[BATCH] !== 0;
}

/** Whether a turn of the event loop is under way, at the end of which the addon calls `settle`. */
function isInTurn() {
  return rows[BATCH] !== 0;
}

/** The lanes whose `settle` is to be called. */
let restless = [];

/** Whether a tick will do that. */
let isTicking = false;

/**
 * Calls `lane.settle()` on the next tick, once all that is running now has returned; in a turn of the event loop when all ticks of
 * the turn are done.
 */
function settleLater(lane) {
  restless.push(lane);
  if (rows[BATCH] !== 0) {
    rows[RESTLESS] = 1;
  } else if (!isTicking) {
    isTicking = true;
    nextTick(tick);
  }
}

function tick() {
  isTicking = false;
  settle();
}

/** Lets the lanes that wait write: at the end of a turn, where the addon calls this, at the end of a tick, and at the exit. */
function settle() {
  rows[BATCH] = 0;
  rows[RESTLESS] = 0;
  const waiting = restless;
  restless = [];
  for (let i = 0; i < waiting.length; i++) waiting[i].settle();
}

/**
 * The most slices of chunks that are taken in a turn of the event loop. A slice inflates to at most 256 KiB and a part of a frame
 * (`INFLATED` in src/slice.rs), which takes about a millisecond.
 */
const SLICES = 4;

/** The functions that take a slice each, in the order of the calls. */
const slices = [];

/** Whether `slice` will be called, or is running. */
let isSlicing = false;

/** Calls a function that takes a slice, in a turn of the event loop that has taken few of them. */
function sliceLater(take) {
  slices.push(take);
  if (isSlicing) return;
  isSlicing = true;
  setImmediate(slice);
}

function slice() {
  const now = slices.splice(0, SLICES);
  let at = 0;
  try {
    while (at < now.length) now[at++]();
  } finally {
    // Those behind one that threw come first in the next turn.
    slices.unshift(...now.slice(at));
    isSlicing = slices.length > 0;
    if (isSlicing) setImmediate(slice);
  }
}

/** The lanes whose descriptors the addon reads, by the ids of their connections. */
const lanes = [];

/** The addon calls this in a turn of the event loop, and again if a handler threw: from the cursor on. */
function deliver() {
  const end = rows[END];
  enter();
  try {
    for (let at = rows[CURSOR]; at < end;) {
      const id = rows[at];
      let next = at + ROW;
      while (next < end && rows[next] === id) next += ROW;
      rows[CURSOR] = next;
      const lane = lanes[id];
      if (lane !== undefined) {
        lane.scope ??= lane.newScope();
        lane.scope.runInAsyncScope(lane.deliver, lane, at, next);
      }
      at = next;
    }
  } finally {
    if (rows[CURSOR] === end) leave(FIRST);
    else depth--;
  }
}

/** The lanes of which a message is being compressed in the background, by the ids of their connections. */
const working = new Map();

native.onCompressed((id) => {
  const lane = working.get(id);
  // The lane has dropped all that waited, though its connection is still there.
  if (lane === undefined) return;
  working.delete(id);
  lane.worked();
});

let isStarted = false;

/**
 * Lets the addon read descriptors.
 *
 * @returns {boolean} Whether it can. It cannot if the process has no descriptor left for its poller. The next socket asks again.
 */
function start() {
  if (isStarted) return true;
  try {
    native.start(deliver, settle);
    isStarted = true;
  } catch {
    // The socket takes the stream lane, which needs nothing.
  }
  return isStarted;
}

// Frames that wait are written before the process ends, as far as the kernel takes them.
let exits = false;
process.on('exit', () => {
  exits = true;
  settle();
});

/** Whether the process ends, so that there is no time for another thread. */
function isExiting() {
  return exits;
}

module.exports = {
  native, rows, payload, taken, enter, leave, isDelivering, isInTurn, isExiting, settleLater, sliceLater, EMPTY,
  lanes, working, start, TOP, SLICED, SLABS, ROW, TEXT, BINARY, PING, PONG, CLOSE, ENDED, FAILED, REST
};
