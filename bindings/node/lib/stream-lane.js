// The stream lane: a lane over any Duplex. TLS, Unix sockets, pipes and Windows have it. Chunks are parsed where they are, and
// what is to be sent goes through `socket.write`, once a tick.
'use strict';

const hub = require('./hub');
const { Inbound } = require('./inbound');
const { Outbound } = require('./outbound');

const { native } = hub;

class StreamLane extends Outbound {
  constructor(socket, head, owner, settings) {
    const inbound = new Inbound(owner, settings);
    super(inbound, settings);
    this.kind = 'stream';
    this.socket = socket;
    this.inbound = inbound;
    this.isPaused = false;
    /** Whether reading waits until the events that wait are delivered. */
    this.isHolding = false;
    this.onData = (chunk) => this.read(chunk);
    this.onDrain = () => owner._onDrain();
    this.wrap();
    socket.on('drain', this.onDrain);
    this.listen(head);
  }

  /** Begins to read. */
  listen(head) {
    // Before there is a listener: a socket that flows would call it within `unshift`, and so before `attach` has returned.
    if (head && head.length > 0) this.socket.unshift(head);
    this.socket.on('data', this.onData);
  }

  get received() {
    return this.inbound.received;
  }

  /** Lets frames that wait go before what others write to the socket. */
  wrap() {
    const { socket } = this;
    this.own = { write: own(socket, 'write'), end: own(socket, 'end') };
    this.write = socket.write;
    const { end } = socket;
    const lane = this;
    socket.write = function write(...args) {
      lane.flush();
      return lane.write.apply(this, args);
    };
    socket.end = function endSocket(...args) {
      lane.flush();
      return end.apply(this, args);
    };
    this.wrapped = { write: socket.write, end: socket.end };
  }

  unwrap() {
    for (const name of ['write', 'end']) {
      // Node itself replaces `write` at the end of the peer's half, and others may have: theirs stays.
      if (this.socket[name] !== this.wrapped[name]) continue;
      if (this.own[name] === undefined) delete this.socket[name];
      else Object.defineProperty(this.socket, name, this.own[name]);
    }
  }

  read(chunk) {
    // What comes behind a close frame is read and thrown away: a TCP connection that ends with unread bytes is reset.
    if (this.inbound.isOver) return;
    try {
      this.inbound.feed(chunk);
    } finally {
      if (this.inbound.waiting.length > 0) this.hold();
    }
  }

  /** Reads nothing until the events that wait are delivered. */
  hold() {
    if (this.isHolding) return;
    this.isHolding = true;
    this.socket.pause();
    this.whenIdle(() => {
      this.isHolding = false;
      if (!this.isPaused && !this.isDetached) this.socket.resume();
    });
  }

  /** Calls `then` once no event waits. */
  whenIdle(then) {
    const { inbound } = this;
    if (inbound.waiting.length === 0) return then();
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
      socket.removeListener('data', this.onData);
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
    this.socket.removeListener('data', this.onData);
    this.socket.removeListener('drain', this.onDrain);
    this.inbound.free();
  }
}

function compressionCut() {
  return new Error('The socket was closed while data was being compressed');
}

/** A property that the object itself has. */
function own(object, name) {
  return Object.getOwnPropertyDescriptor(object, name);
}

module.exports = { StreamLane };
