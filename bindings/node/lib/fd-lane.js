// The fd lane: a lane over a plain TCP socket, whose descriptor the addon reads and writes itself. Node keeps the socket: it opens
// and closes it, and has the queue of what the kernel did not take.
//
// One mistake would be fatal here: to write to a descriptor that Node has closed, as its number may be another socket's by then.
// Node closes it by `handle.close` or `handle.reset`, whatever was the reason; both are wrapped, and take the descriptor away first.
'use strict';

const { AsyncResource } = require('node:async_hooks');
const net = require('node:net');
const util = require('node:util');

const hub = require('./hub');
const { StreamLane, kLane } = require('./stream-lane');

const { native, rows, lanes, ROW, ENDED, FAILED } = hub;

/** `ROPEWAY_LANE=stream` lets all sockets have the stream lane. */
const isAllowed = process.env.ROPEWAY_LANE !== 'stream' && typeof native.adopt === 'function' &&
  process.versions.bun === undefined && process.versions.deno === undefined;

const NOTHING = [0, 0];

/** Whether a socket can have this lane. */
function suits(socket) {
  if (!isAllowed || socket.constructor !== net.Socket || socket.destroyed || socket.connecting) return false;
  const handle = socket._handle;
  return Boolean(handle) && handle.constructor.name === 'TCP' && handle.fd >= 0 &&
    typeof handle.readStop === 'function' && typeof handle.readStart === 'function' && typeof handle.reading === 'boolean' &&
    socket.listenerCount('data') === 0 && socket.listenerCount('readable') === 0 && socket.readableEncoding === null &&
    socket._readableState.ended === false;
}

class FdLane extends StreamLane {
  get kind() {
    return this.isHeld ? 'fd' : 'stream';
  }

  /**
   * Takes the descriptor over. The addon reads while the socket flows. What Node has read already, what came behind the handshake
   * and what others push into the socket still comes as 'data', before all that the addon reads later.
   */
  listen(head) {
    const { socket } = this;
    const handle = socket._handle;
    /** Whether the descriptor is this lane's. */
    this.isHeld = true;
    this.handle = handle;
    /**
     * The async scope of the socket, in which the owner is called. An accepted socket has none of JavaScript's: its scope is made at the
     * first delivery, where nothing of the program is running. A client's socket was made where the client was.
     */
    this.scope = this.isServer ? null : this.newScope();
    native.adopt(this.id, handle.fd);
    lanes[this.id] = this;
    this.wrapHandle();
    handle.readStop();
    // Node believes that it reads, and so does not begin to.
    handle.reading = true;
    socket.on('pause', onPause);
    socket.on('resume', onResume);
    if (socket.readableFlowing === true) process.nextTick(watch, this);
    super.listen(head);
    socket.on('newListener', onListener);
  }

  newScope() {
    return new AsyncResource('ROPEWAYSOCKET');
  }

  /** Lets the addon know before Node closes the descriptor, and whether the socket keeps the process alive. */
  wrapHandle() {
    const { handle } = this;
    handle[kLane] = this;
    handle.close = leaveAndClose;
    handle.reset = leaveAndReset;
    handle.ref = referAndRef;
    handle.unref = unreferAndUnref;
    Object.defineProperties(handle, COUNTS);
    native.keepAlive(this.id, typeof handle.hasRef === 'function' && !handle.hasRef() ? 0 : 1);
  }

  /** The descriptor is not this lane's any more. */
  leave() {
    if (!this.isHeld) return;
    this.isHeld = false;
    native.leave(this.id);
    lanes[this.id] = undefined;
    this.socket.removeListener('pause', onPause);
    this.socket.removeListener('resume', onResume);
    this.socket.removeListener('newListener', onListener);
  }

  readOn() {
    super.readOn();
    // Others may have resumed the socket before.
    watch(this);
  }

  watch(on) {
    // Bytes that wait come before those of the descriptor, even if others resume the socket.
    if (!this.isHeld || (on && !this.inbound.isIdle)) return;
    try {
      native.watch(this.id, on ? 1 : 0);
    } catch {
      // The system watches no more sockets for this process, or no more of its own (epoll_ctl(2): ENOSPC, ENOMEM). Node says so,
      // or still can.
      this.toStream();
    }
  }

  /** Delivers the rows of a turn, from one word of the table to another. The hub calls this in the lane's scope. */
  deliver(start, end) {
    const { socket, inbound } = this;
    if (socket.timeout > 0) socket._unrefTimer();
    const last = end - ROW;
    const kind = rows[last + 1] & 0xff;
    const value = rows[last + 4];
    const isOver = kind === ENDED || kind === FAILED;
    const stop = isOver ? last : end;
    try {
      if (start < stop && !inbound.isOver) {
        inbound.deliverBatch(hub.EMPTY, start, stop);
        if (!inbound.isIdle) this.hold();
      }
    } finally {
      if (isOver) this.over(kind, value);
    }
  }

  /** The peer has ended its half, or reading has failed. */
  over(kind, value) {
    const { socket } = this;
    if (!this.isHeld || socket.destroyed) return;
    if (kind === FAILED) return socket.destroy(systemError('read', value));
    socket.push(null);
    socket.read(0);
  }

  flush() {
    if (!this.isHeld) return super.flush();
    const { socket } = this;
    // Node has bytes that the kernel did not take: these go first.
    if (socket._writableState.length > 0) return super.flush();
    const rest = native.flush(this.id);
    if (socket.timeout > 0) socket._unrefTimer();
    const callbacks = this.takeCallbacks();
    if (rest > 0) this.write.call(socket, hub.taken(rest), callbacks);
    else if (callbacks !== undefined) process.nextTick(callbacks, null);
  }

  writeLarge(header, data, cb) {
    this.flush();
    const { socket } = this;
    if (!this.isHeld || socket._writableState.length > 0) return super.writeLarge(header, data, cb);
    const written = native.write(this.id, header, data);
    const rest = written - header.length;
    if (rest === data.length) {
      if (cb !== undefined) process.nextTick(cb, null);
    } else if (rest >= 0) {
      this.write.call(socket, data.subarray(rest), cb);
    } else {
      super.writeLarge(header.subarray(written), data, cb);
    }
  }

  /** Somebody else listens: Node reads again, and this lane goes on as a stream lane. */
  toStream() {
    if (!this.isHeld || this.isDetached) return;
    const { socket, handle } = this;
    this.flush();
    this.leave();
    // The socket believes that it reads, so `read` would not begin to.
    if (socket.isPaused()) handle.reading = false;
    else handle.readStart();
  }

  detach(toError) {
    if (this.isDetached) return;
    const isAlive = this.isHeld && !this.socket.destroyed;
    if (isAlive) this.flush();
    // Node has noted the counts of a socket that is destroyed.
    this.counted = this.socket.destroyed ? NOTHING : [native.count(this.id, 0), native.count(this.id, 1)];
    this.leave();
    super.detach(toError);
    if (!isAlive) return;
    // Node reads again when somebody wants it to.
    this.handle.reading = false;
    if (this.socket.readableFlowing) this.socket.read(0);
  }
}

// These are one function for all sockets: a closure for each would be a fifth of what a connection holds. Those of a handle stay
// when its lane has left, and then do what the handle's class does.

function onPause() {
  this[kLane].watch(false);
}

function onResume() {
  watch(this[kLane]);
}

function watch(lane) {
  lane.watch(!lane.socket.isPaused());
}

function onListener(event) {
  if (event === 'data' || event === 'readable') this[kLane].toStream();
}

function leaveAndClose(...args) {
  letGo(this[kLane]);
  return Object.getPrototypeOf(this).close.apply(this, args);
}

function leaveAndReset(...args) {
  letGo(this[kLane]);
  return Object.getPrototypeOf(this).reset.apply(this, args);
}

function letGo(lane) {
  if (!lane.isHeld) return;
  try {
    lane.flush();
  } finally {
    lane.leave();
  }
}

/** How many bytes the addon has read from the socket of a handle (0), or written to it (1). */
function count(handle, direction) {
  const lane = handle[kLane];
  return lane.isDetached ? lane.counted[direction] : native.count(lane.id, direction);
}

/** The counts of a handle, which Node shows as the socket's, with what the addon has read and written. */
const COUNTS = {
  bytesRead: {
    configurable: true,
    get() { return Reflect.get(Object.getPrototypeOf(this), 'bytesRead', this) + count(this, 0); }
  },
  bytesWritten: {
    configurable: true,
    get() { return Reflect.get(Object.getPrototypeOf(this), 'bytesWritten', this) + count(this, 1); }
  }
};

function referAndRef() {
  const lane = this[kLane];
  if (lane.isHeld) native.keepAlive(lane.id, 1);
  return Object.getPrototypeOf(this).ref.call(this);
}

function unreferAndUnref() {
  const lane = this[kLane];
  if (lane.isHeld) native.keepAlive(lane.id, 0);
  return Object.getPrototypeOf(this).unref.call(this);
}

/** An error of the operating system as Node's own sockets have it. */
function systemError(syscall, number) {
  const code = util.getSystemErrorName(-number);
  const error = new Error(`${syscall} ${code}`);
  error.errno = -number;
  error.code = code;
  error.syscall = syscall;
  return error;
}

module.exports = { FdLane, suits };
