// The stream lane: a lane over any Duplex. TLS, Unix sockets, pipes and Windows have it. Chunks are parsed where they are, and
// what is to be sent goes through `socket.write`, once a tick.
'use strict';

const hub = require('./hub');
const { Inbound } = require('./inbound');
const { Outbound } = require('./outbound');

const { native } = hub;

/** The lane of a socket, and of its handle. */
const kLane = Symbol('lane');

class StreamLane extends Outbound {
  constructor(socket, head, owner, settings) {
    const inbound = new Inbound(owner, settings);
    super(inbound, settings);
    this.socket = socket;
    this.inbound = inbound;
    this.isPaused = false;
    /** Whether reading waits until all that waits is delivered. */
    this.isHolding = false;
    // The methods of the socket: others may have replaced them.
    this.write = socket.write;
    this.endSocket = socket.end;
    socket[kLane] = this;
    // Frames that wait go before what others write to the socket.
    socket.write = flushAndWrite;
    socket.end = flushAndEnd;
    this.listen(head);
  }

  get kind() {
    return 'stream';
  }

  /** Begins to read. */
  listen(head) {
    // Before there is a listener: a socket that flows would call it within `unshift`, and so before `attach` has returned.
    if (head && head.length > 0) this.socket.unshift(head);
    this.socket.on('data', onData);
  }

  get received() {
    return this.inbound.received;
  }

  unwrap() {
    const { socket } = this;
    // Node itself replaces `write` at the end of the peer's half, and others may have: theirs stays.
    if (socket.write === flushAndWrite) socket.write = this.write;
    if (socket.end === flushAndEnd) socket.end = this.endSocket;
  }

  read(chunk) {
    // Bytes behind a close frame are read and thrown away: a TCP connection that ends with unread bytes is reset.
    if (this.inbound.isOver) return;
    try {
      this.inbound.feed(chunk);
    } finally {
      if (!this.inbound.isIdle) this.hold();
    }
  }

  /** Reads nothing until all that waits is delivered. */
  hold() {
    if (this.isHolding) return;
    this.isHolding = true;
    this.socket.pause();
    this.whenIdle(() => {
      this.isHolding = false;
      if (!this.isPaused && !this.isDetached) this.readOn();
    });
  }

  readOn() {
    this.socket.resume();
  }

  /** Calls `then` once nothing waits. */
  whenIdle(then) {
    const { inbound } = this;
    if (inbound.isIdle) return then();
    const { onIdle } = inbound;
    inbound.onIdle = () => {
      if (onIdle !== null) onIdle();
      then();
    };
  }

  rawNow(list, cb) {
    this.flush();
    const { socket } = this;
    socket.cork();
    for (let i = 0; i < list.length; i++) {
      this.write.call(socket, list[i], i === list.length - 1 ? cb : undefined);
    }
    socket.uncork();
  }

  /** Writes a frame of which the payload is not copied. */
  writeLarge(header, data, cb) {
    this.rawNow([header, data], cb);
  }

  pause() {
    this.isPaused = true;
    this.socket.pause();
  }

  resume() {
    this.isPaused = false;
    if (!this.isHolding) this.socket.resume();
  }

  flush() {
    if (this.isDetached) return;
    const length = native.take(this.id);
    if (length === 0) return;
    this.write.call(this.socket, hub.taken(length), this.takeCallbacks());
  }

  end(cb) {
    const { socket } = this;
    this.dropLine(compressionCut);
    if (!this.isDetached && !socket.readableEnded && socket.readableLength > 0) {
      socket.removeListener('data', onData);
      const chunk = socket.read(socket.readableLength);
      if (chunk !== null) this.read(chunk);
    }
    this.whenIdle(cb);
  }

  detach(toError) {
    if (this.isDetached) return;
    if (!this.socket.destroyed) this.flush();
    this.isDetached = true;
    this.dropLine(toError);
    this.giveUp(toError);
    this.unwrap();
    this.socket.removeListener('data', onData);
    this.inbound.free();
  }
}

function compressionCut() {
  return new Error('The socket was closed while data was being compressed');
}

// These are one function for all sockets: a closure for each would be a fifth of what a connection holds.

function onData(chunk) {
  this[kLane].read(chunk);
}

function flushAndWrite(chunk, encoding, cb) {
  const lane = this[kLane];
  lane.flush();
  return lane.write.call(this, chunk, encoding, cb);
}

function flushAndEnd(chunk, encoding, cb) {
  const lane = this[kLane];
  lane.flush();
  return lane.endSocket.call(this, chunk, encoding, cb);
}

module.exports = { StreamLane, kLane };
