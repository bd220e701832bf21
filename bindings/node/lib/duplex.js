'use strict';

// Duplex: a WebSocket as a stream. Each message is a chunk to read, each chunk that is written is a message.

const { Duplex } = require('stream');

const { CLOSED, CONNECTING } = require('./ready-state');

/**
 * @param {import('./websocket')} websocket
 * @param {import('stream').DuplexOptions} [options] Object mode exists for the readable side alone: texts are strings then.
 * @returns {Duplex} Its end closes the WebSocket, and so does the reverse. Its `destroy` terminates it.
 */
function createWebSocketStream(websocket, options) {
  const bridge = new Bridge(websocket);
  const duplex = new Duplex({
    ...options,
    // The end of the stream is that of the WebSocket, which has its own time.
    autoDestroy: false,
    emitClose: false,
    objectMode: false,
    writableObjectMode: false,
    read: () => bridge.read(),
    write: (chunk, encoding, callback) => bridge.write(chunk, callback),
    final: (callback) => bridge.final(callback),
    destroy: (error, callback) => bridge.destroy(error, callback)
  });
  bridge.connect(duplex);
  return duplex;
}

class Bridge {
  constructor(websocket) {
    this.websocket = websocket;
    this.duplex = null;
    this.hasFailed = false;
  }

  connect(duplex) {
    const { websocket } = this;
    this.duplex = duplex;

    websocket.on('message', (data, isBinary) => {
      const chunk = !isBinary && duplex.readableObjectMode ? data.toString() : data;
      if (!duplex.push(chunk)) websocket.pause();
    });
    websocket.once('error', (error) => {
      if (duplex.destroyed) return;
      // The close frame that tells the peer of the error is still on its way: no `terminate`.
      this.hasFailed = true;
      duplex.destroy(error);
    });
    websocket.once('close', () => {
      if (!duplex.destroyed) duplex.push(null);
    });
    duplex.on('end', () => this.destroyIfDone());
    duplex.on('error', rethrow);
  }

  read() {
    if (this.websocket.isPaused) this.websocket.resume();
  }

  write(chunk, callback) {
    this.whenOpen(() => this.websocket.send(chunk, callback));
  }

  final(callback) {
    this.whenOpen(() => {
      const { websocket } = this;
      const socket = websocket._socket;
      // The handshake failed: 'error' follows, and there is no end to be told.
      if (socket === null) return;
      if (socket.writableFinished) {
        callback();
        if (this.duplex.readableEnded) this.duplex.destroy();
        return;
      }
      socket.once('finish', () => callback());
      websocket.close();
    });
  }

  destroy(error, callback) {
    const { websocket, duplex } = this;
    const emitClose = () => duplex.emit('close');
    if (websocket.readyState === CLOSED) {
      callback(error);
      process.nextTick(emitClose);
      return;
    }
    // An error that happens meanwhile is the stream's.
    let isTold = false;
    websocket.once('error', (later) => {
      isTold = true;
      callback(later);
    });
    websocket.once('close', () => {
      if (!isTold) callback(error);
      process.nextTick(emitClose);
    });
    if (!this.hasFailed) websocket.terminate();
  }

  whenOpen(action) {
    if (this.websocket.readyState === CONNECTING) this.websocket.once('open', action);
    else action();
  }

  // A stream that has emitted both 'end' and 'finish' is over.
  destroyIfDone() {
    if (!this.duplex.destroyed && this.duplex.writableFinished) this.duplex.destroy();
  }
}

// Without a listener of the program an error ends the process, as for any stream.
function rethrow(error) {
  this.removeListener('error', rethrow);
  this.destroy();
  if (this.listenerCount('error') === 0) this.emit('error', error);
}

module.exports = createWebSocketStream;
