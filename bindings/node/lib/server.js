'use strict';

// Server: takes upgraded sockets of an HTTP server, of its own or of the program, and hands out a WebSocket for each.

const EventEmitter = require('events');
const http = require('http');

const { broadcast, drain } = require('./crowd');
const handshake = require('./handshake');
const { forServer } = require('./options');
const WebSocket = require('./websocket');

// ```text
//            close()                  the HTTP server is closed, if it is ours;
//                                     no connection is left, if they are counted
//   RUNNING ─────────► CLOSING ─────────────────────────────────────────────────► CLOSED: 'close'
// ```
const RUNNING = 0;
const CLOSING = 1;
const CLOSED = 2;

const kTaken = Symbol('taken');

class WebSocketServer extends EventEmitter {
  /**
   * @param {Object} options One of `port`, `server` and `noServer`, and what the documentation lists.
   * @param {Function} [callback] A listener of `'listening'`, with `port`.
   */
  constructor(options, callback) {
    super();
    this.options = forServer(options, WebSocket);
    this._server = undefined;
    this._removeListeners = null;
    this._shouldEmitClose = false;
    this._state = RUNNING;

    const { port, server, noServer, host, backlog, clientTracking } = this.options;
    if ([port != null, !!server, !!noServer].filter(Boolean).length !== 1) {
      throw new TypeError('One and only one of the "port", "server", or "noServer" options must be specified');
    }
    if (clientTracking) this.clients = new Set();
    if (port != null) {
      this._server = http.createServer(answerPlainRequest);
      this._server.listen(port, host, backlog, callback);
    } else if (server) {
      this._server = server;
    }
    if (this._server) this._removeListeners = listenTo(this);
  }

  /**
   * The address that the server is bound to.
   *
   * @returns {{ address: string, family: string, port: number }|string|null} A string for a pipe or a Unix socket; null once it
   *   is closed.
   * @throws {Error} With `noServer`.
   */
  address() {
    if (this.options.noServer) throw new Error('The server is operating in "noServer" mode');
    return this._server ? this._server.address() : null;
  }

  /**
   * Takes no further connections. Those that are there stay; `drain` closes them as well.
   *
   * @param {Function} [callback] Called at `'close'`; with an `Error` if the server was closed already.
   */
  close(callback) {
    if (this._state === CLOSED) {
      if (callback) this.once('close', () => callback(new Error('The server is not running')));
      process.nextTick(closed, this);
      return;
    }
    if (callback) this.once('close', callback);
    if (this._state === CLOSING) return;
    this._state = CLOSING;

    const server = this._server;
    if (this._removeListeners) this._removeListeners();
    this._removeListeners = null;
    this._server = null;
    if (this.options.port != null) server.close(() => closed(this));
    else if (this.clients && this.clients.size > 0) this._shouldEmitClose = true;
    else process.nextTick(closed, this);
  }

  /**
   * Sends a message to every client that is open. It is encoded once for all of them, and compressed once for each size of window, for
   * clients that begin each message with an empty one. The others get it uncompressed. Nothing waits: a client whose `maxBuffered` is
   * reached is treated as that option says.
   *
   * @param {any} data As for `WebSocket.prototype.send`, but no Blob.
   * @param {{ except?: WebSocket|Iterable<WebSocket>, binary?: boolean, compress?: boolean }} [options]
   * @returns {number} How many clients it was sent to.
   * @throws {Error} If `clientTracking` is off.
   */
  broadcast(data, options) {
    return broadcast(this, data, options);
  }

  /**
   * Closes the server and all its connections: 1001 to each, and `terminate` for those that are still there after the timeout.
   *
   * @param {number} [timeout] Milliseconds; 10,000 if it is left out.
   * @returns {Promise<number>} Resolves at the server's `'close'`, with the number of connections that had to be terminated.
   */
  drain(timeout) {
    return drain(this, timeout);
  }

  /**
   * Whether a request is for this server. May be overridden.
   *
   * @param {import('http').IncomingMessage} req
   * @returns {boolean} False refuses it with 400.
   */
  shouldHandle(req) {
    const { path } = this.options;
    return !path || req.url.split('?', 1)[0] === path;
  }

  /**
   * Judges a request to upgrade, answers it, and makes the WebSocket.
   *
   * @param {import('http').IncomingMessage} req
   * @param {import('stream').Duplex} socket
   * @param {Buffer} head What came behind the request.
   * @param {(websocket: WebSocket, req: import('http').IncomingMessage) => void} callback Called if it is accepted.
   */
  handleUpgrade(req, socket, head, callback) {
    socket.on('error', destroyBroken);

    const refusal = judge(this, req);
    if (refusal !== null) {
      refuse(this, req, socket, refusal);
      return;
    }
    const protocols = handshake.offeredSubprotocols(req);
    if (protocols instanceof handshake.Refusal) {
      refuse(this, req, socket, protocols);
      return;
    }
    const extensions = handshake.agreedExtensions(req, this.options);
    if (extensions instanceof handshake.Refusal) {
      refuse(this, req, socket, extensions);
      return;
    }
    verify(this, req, (refused) => {
      if (refused) refuse(this, req, socket, refused);
      else this.completeUpgrade(extensions, req.headers['sec-websocket-key'], protocols, req, socket, head, callback);
    });
  }

  /**
   * The end of `handleUpgrade`: the answer is written and the WebSocket made.
   *
   * @private
   */
  completeUpgrade(extensions, key, protocols, req, socket, head, callback) {
    // While `verifyClient` thought, the client may have left.
    if (!socket.readable || !socket.writable) {
      socket.destroy();
      return;
    }
    if (socket[kTaken]) {
      throw new Error(
        'server.handleUpgrade() was called more than once with the same socket, possibly due to a misconfiguration'
      );
    }
    if (this._state !== RUNNING) {
      refuse(this, req, socket, new handshake.Refusal(503));
      return;
    }
    socket[kTaken] = true;

    const websocket = new this.options.WebSocket(null, undefined, this.options);
    const protocol = chooseSubprotocol(this, protocols, req);
    if (protocol) websocket._protocol = protocol;
    if (extensions !== null) websocket._extensions = extensions;

    const lines = handshake.acceptLines(key, protocol, extensions);
    this.emit('headers', lines, req);
    socket.write(`${lines.join('\r\n')}\r\n\r\n`);
    socket.removeListener('error', destroyBroken);

    websocket.setSocket(socket, head, this.options);
    if (this.clients) {
      this.clients.add(websocket);
      websocket.on('close', () => forget(this, websocket));
    }
    callback(websocket, req);
  }
}

function judge(server, req) {
  const refusal = handshake.checkRequest(req);
  if (refusal !== null) return refusal;
  if (!server.shouldHandle(req)) return new handshake.Refusal(400);
  return handshake.isOriginAllowed(req, server.options) ? null : new handshake.Refusal(403);
}

// Asks the program, if it wants to be asked. `done` gets the refusal, or nothing.
function verify({ options: { verifyClient } }, req, done) {
  if (!verifyClient) {
    done();
    return;
  }
  const info = handshake.clientInfo(req);
  if (verifyClient.length === 2) {
    verifyClient(info, (isVerified, status, message, headers) => {
      done(isVerified ? undefined : new handshake.Refusal(status || 401, message, headers));
    });
  } else {
    done(verifyClient(info) ? undefined : new handshake.Refusal(401));
  }
}

function chooseSubprotocol({ options: { handleProtocols } }, protocols, req) {
  if (protocols.size === 0) return undefined;
  return handleProtocols ? handleProtocols(protocols, req) : protocols.values().next().value;
}

// A listener of 'wsClientError' owns the socket, and answers in our place.
function refuse(server, req, socket, refusal) {
  if (refusal.isClientError && server.listenerCount('wsClientError') > 0) {
    server.emit('wsClientError', new Error(refusal.message), socket, req);
  } else {
    handshake.refuse(socket, refusal);
  }
}

function forget(server, websocket) {
  server.clients.delete(websocket);
  if (server._shouldEmitClose && server.clients.size === 0) process.nextTick(closed, server);
}

// Returns the function that takes the listeners away again.
function listenTo(webSocketServer) {
  const server = webSocketServer._server;
  const listeners = {
    listening: () => webSocketServer.emit('listening'),
    error: (error) => webSocketServer.emit('error', error),
    upgrade: (req, socket, head) => {
      webSocketServer.handleUpgrade(req, socket, head, (websocket) => webSocketServer.emit('connection', websocket, req));
    }
  };
  for (const event of Object.keys(listeners)) server.on(event, listeners[event]);
  return () => {
    for (const event of Object.keys(listeners)) server.removeListener(event, listeners[event]);
  };
}

// RFC 9110 section 15.5.22 wants an `Upgrade` header here; `ws` sends none.
function answerPlainRequest(req, res) {
  const body = http.STATUS_CODES[426];
  res.writeHead(426, { 'Content-Length': body.length, 'Content-Type': 'text/plain' });
  res.end(body);
}

function closed(webSocketServer) {
  webSocketServer._state = CLOSED;
  webSocketServer.emit('close');
}

// Until the answer is written nobody else listens, and an error without a listener ends the process.
function destroyBroken() {
  this.destroy();
}

module.exports = WebSocketServer;
