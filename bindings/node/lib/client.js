'use strict';

// Client: the request to upgrade, its redirects, and the judgement of the server's answer (RFC 6455 section 4.1).

const { randomBytes } = require('crypto');
const http = require('http');
const https = require('https');
const net = require('net');
const { unescape } = require('querystring');
const timers = require('timers');
const tls = require('tls');

const extension = require('./extension');
const { acceptKey } = require('./handshake');
const negotiation = require('./negotiation');
const { forClient } = require('./options');
const PerMessageDeflate = require('./permessage-deflate');
const { CLOSING, CONNECTING } = require('./ready-state');
const { isToken } = require('./token');

const VERSIONS = [8, 13];

// A WebSocket that connects has its opening under this symbol.
const kOpening = Symbol('opening');

/**
 * Opens the connection of a client.
 *
 * @param {import('./websocket')} websocket Its `readyState` is CONNECTING.
 * @param {string|URL} address
 * @param {string[]} protocols The subprotocols, the preferred one first.
 * @param {Object} [options]
 * @throws {SyntaxError|RangeError|TypeError} If the address, a subprotocol or an option is not allowed.
 */
function connect(websocket, address, protocols, options) {
  const opening = new Opening(websocket, protocols, forClient(options));
  opening.request(address);
}

/**
 * Gives up on a connection that is not open yet.
 *
 * @param {import('./websocket')} websocket
 */
function abandon(websocket) {
  websocket[kOpening].fail('WebSocket was closed before the connection was established');
}

/** One connection on its way to OPEN, with all its requests: the first one, and one for each redirect. */
class Opening {
  constructor(websocket, protocols, options) {
    const { protocolVersion } = options;
    if (!VERSIONS.includes(protocolVersion)) {
      throw new RangeError(
        `Unsupported protocol version: ${protocolVersion} (supported versions: ${VERSIONS.join(', ')})`
      );
    }
    this.websocket = websocket;
    this.protocols = new Set(protocols);
    this.options = options;
    // The headers of requests after a redirect. The names are in lower case, so that some can be removed however the program wrote them.
    this.headers = lowerCased(options.headers);
    // The first request's target; later ones are compared with it.
    this.first = null;
    this.key = '';
    this.deflate = null;
    this.timer = null;
    this.isOver = false;

    const areNames = protocols.every((protocol) => typeof protocol === 'string' && isToken(protocol));
    this.hasInvalidProtocol = !areNames || this.protocols.size !== protocols.length;
    websocket[kOpening] = this;
    websocket._autoPong = options.autoPong;
    websocket._closeTimeout = options.closeTimeout;
  }

  // Sends a request. Errors in the address are thrown at the caller of `new WebSocket`; those of a redirect are emitted.
  request(address) {
    const { websocket } = this;
    const isFirst = websocket._redirects === 0;
    let target;
    try {
      const url = toUrl(address);
      websocket._url = url.href;
      target = new Target(url);
    } catch (error) {
      if (isFirst) throw error;
      this.end(error);
      return;
    }
    if (this.hasInvalidProtocol) throw new SyntaxError('An invalid or duplicated subprotocol was specified');

    const requestOptions = this.requestOptions(target, isFirst ? this.options.headers : this.headers);
    if (isFirst) this.first = target;
    else if (websocket.listenerCount('redirect') === 0) this.dropSecrets(target, requestOptions);
    // The credentials of an address hold for the redirects after it, as in curl.
    if (requestOptions.auth && !this.headers.authorization) {
      this.headers.authorization = `Basic ${Buffer.from(requestOptions.auth).toString('base64')}`;
    }

    const req = (target.isSecure ? https : http).request(requestOptions);
    websocket._req = req;
    this.listen(req, address);
    if (websocket._redirects > 0) websocket.emit('redirect', websocket.url, req);
    // The listener may have called `close`.
    if (this.isOver) return;
    this.startTimer();

    const { finishRequest } = this.options;
    if (finishRequest) finishRequest(req, websocket);
    else req.end();
  }

  requestOptions(target, ownHeaders) {
    const { options, protocols } = this;
    this.key = randomBytes(16).toString('base64');
    const headers = {
      ...ownHeaders,
      'Sec-WebSocket-Version': options.protocolVersion,
      'Sec-WebSocket-Key': this.key,
      Connection: 'Upgrade',
      Upgrade: 'websocket'
    };
    if (options.perMessageDeflate) {
      const { maxPayload } = options;
      this.deflate = new PerMessageDeflate({ ...options.perMessageDeflate, isServer: false, maxPayload });
      headers['Sec-WebSocket-Extensions'] = extension.format({ [negotiation.NAME]: this.deflate.offer() });
    }
    if (protocols.size > 0) headers['Sec-WebSocket-Protocol'] = [...protocols].join(',');
    // Version 8 of the protocol had a name of its own for the header.
    if (options.origin) headers[options.protocolVersion < 13 ? 'Sec-WebSocket-Origin' : 'Origin'] = options.origin;

    return {
      ...options,
      auth: target.userinfo === undefined ? options.auth : target.userinfo,
      createConnection: options.createConnection || (target.isSecure ? connectTls : connectTcp),
      defaultPort: options.defaultPort || target.defaultPort,
      headers,
      host: target.host,
      path: target.path,
      port: target.port,
      socketPath: target.socketPath
    };
  }

  // A redirect to another place does not learn what was meant for the first one, nor does a redirect from TLS to plain text.
  // A program that listens for 'redirect' decides for itself.
  dropSecrets(target, requestOptions) {
    const isSamePlace = target.place === this.first.place;
    if (isSamePlace && !(this.first.isSecure && !target.isSecure)) return;
    const { headers } = requestOptions;
    delete headers.authorization;
    delete headers.cookie;
    if (!isSamePlace) delete headers.host;
    requestOptions.auth = undefined;
  }

  listen(req, address) {
    req.on('error', (error) => {
      if (this.isOver || req !== this.websocket._req) return;
      this.end(error);
    });
    req.on('response', (res) => {
      if (this.isOver || req !== this.websocket._req) return;
      this.stopTimer();
      this.judgeResponse(req, res, address);
    });
    req.on('upgrade', (res, socket, head) => {
      this.stopTimer();
      this.websocket.emit('upgrade', res);
      // The listener may have called `close`.
      if (this.websocket._readyState !== CONNECTING) return;
      this.isOver = true;
      this.websocket._req = null;
      this.judgeUpgrade(res, socket, head);
    });
  }

  judgeResponse(req, res, address) {
    const { websocket, options } = this;
    const { statusCode } = res;
    const { location } = res.headers;
    if (!location || !options.followRedirects || statusCode < 300 || statusCode >= 400) {
      // A listener reads the response, and ends the matter by `req.destroy` or `close`.
      const isTaken = websocket.emit('unexpected-response', req, res);
      if (!isTaken) this.fail(`Unexpected server response: ${statusCode}`);
      return;
    }
    if (++websocket._redirects > options.maxRedirects) {
      this.fail('Maximum redirects exceeded');
      return;
    }
    websocket._req = null;
    req.destroy();
    let next;
    try {
      next = new URL(location, address);
    } catch {
      this.end(new SyntaxError(`Invalid URL: ${location}`));
      return;
    }
    this.request(next);
  }

  judgeUpgrade(res, socket, head) {
    const { websocket, options } = this;
    const problem = this.problemOf(res);
    if (problem !== undefined) {
      failSocket(websocket, socket, problem);
      return;
    }
    const protocol = res.headers['sec-websocket-protocol'];
    if (protocol) websocket._protocol = protocol;
    if (res.headers['sec-websocket-extensions'] !== undefined) {
      websocket._extensions = { [negotiation.NAME]: this.deflate };
    }
    websocket[kOpening] = null;
    websocket.setSocket(socket, head, options);
  }

  // RFC 6455 section 4.1, the list of what a client must check; in the order of npm's `ws`, which has its own texts.
  problemOf({ headers }) {
    const { upgrade } = headers;
    // Node drops headers above `maxHeadersCount`: this one may be missing although Node saw an upgrade.
    if (upgrade === undefined || upgrade.toLowerCase() !== 'websocket') return 'Invalid Upgrade header';
    if (headers['sec-websocket-accept'] !== acceptKey(this.key)) return 'Invalid Sec-WebSocket-Accept header';

    const protocol = headers['sec-websocket-protocol'];
    if (protocol === undefined) {
      if (this.protocols.size > 0) return 'Server sent no subprotocol';
    } else if (this.protocols.size === 0) {
      return 'Server sent a subprotocol but none was requested';
    } else if (!this.protocols.has(protocol)) {
      return 'Server sent an invalid subprotocol';
    }
    return this.problemOfExtensions(headers['sec-websocket-extensions']);
  }

  problemOfExtensions(header) {
    if (header === undefined) return undefined;
    if (this.deflate === null) {
      return 'Server sent a Sec-WebSocket-Extensions header but no extension was requested';
    }
    try {
      const responses = extension.parse(header);
      const names = Object.keys(responses);
      if (names.length !== 1 || names[0] !== negotiation.NAME) {
        return 'Server indicated an extension that was not requested';
      }
      this.deflate.accept(responses[negotiation.NAME]);
      return undefined;
    } catch {
      return 'Invalid Sec-WebSocket-Extensions header';
    }
  }

  // The time for one request. It is absolute: a server that sends a byte now and then does not stretch it.
  startTimer() {
    const { handshakeTimeout } = this.options;
    if (!handshakeTimeout) return;
    // Not the global one, which a program's tests may replace.
    this.timer = timers.setTimeout(() => this.fail('Opening handshake has timed out'), handshakeTimeout);
  }

  stopTimer() {
    timers.clearTimeout(this.timer);
    this.timer = null;
  }

  // We give up: the program is told in the next tick, so that it may set its listeners after `close()`.
  fail(message) {
    if (this.isOver) return;
    const error = new Error(message);
    const { websocket } = this;
    const req = websocket._req;
    this.isOver = true;
    this.stopTimer();
    websocket._readyState = CLOSING;
    if (req) {
      req.destroy();
      // Once the response has ended, or the connection was upgraded, the request does not own the socket any more.
      if (req.socket && !req.socket.destroyed) req.socket.destroy();
    }
    process.nextTick(tell, websocket, error);
  }

  // The request ended by itself, or could not be made.
  end(error) {
    this.isOver = true;
    this.stopTimer();
    this.websocket._req = null;
    tell(this.websocket, error);
  }
}

/** An address that a connection can be made to, taken apart. */
class Target {
  constructor(url) {
    const { protocol, hostname, username, password, pathname } = url;
    if (!['ws:', 'wss:', 'ws+unix:'].includes(protocol)) {
      throw new SyntaxError(
        'The URL\'s protocol must be one of "ws:", "wss:", "http:", "https:", or "ws+unix:"'
      );
    }
    const isIpc = protocol === 'ws+unix:';
    if (isIpc && !pathname) throw new SyntaxError("The URL's pathname is empty");
    // RFC 6455 section 3: "Fragment identifiers are meaningless in the context of WebSocket URIs".
    if (url.hash) throw new SyntaxError('The URL contains a fragment identifier');

    this.isSecure = protocol === 'wss:';
    this.defaultPort = this.isSecure ? 443 : 80;
    this.port = url.port || this.defaultPort;
    // IPv6 without the brackets that it has in an address.
    this.host = hostname.startsWith('[') ? hostname.slice(1, -1) : hostname;
    this.userinfo = username || password ? `${unescape(username)}:${unescape(password)}` : undefined;
    this.path = pathname + url.search;
    this.socketPath = undefined;
    // Two targets of the same place get the same secrets.
    this.place = `tcp ${url.host}`;
    if (isIpc) {
      const end = `${this.path}:`.indexOf(':');
      this.socketPath = this.path.slice(0, end);
      this.path = this.path.slice(end + 1);
      this.place = `ipc ${this.socketPath}`;
    }
  }
}

function toUrl(address) {
  let url;
  try {
    // A copy: the protocol is changed below.
    url = new URL(address instanceof URL ? address.href : address);
  } catch {
    throw new SyntaxError(`Invalid URL: ${address}`);
  }
  if (url.protocol === 'http:') url.protocol = 'ws:';
  else if (url.protocol === 'https:') url.protocol = 'wss:';
  return url;
}

function connectTcp(options) {
  return net.connect({ ...options, path: options.socketPath });
}

function connectTls(options) {
  const { host, servername } = options;
  // RFC 6066 section 3: a server's name may not be an address.
  const name = servername || servername === '' ? servername : net.isIP(host) ? '' : host;
  return tls.connect({ ...options, path: undefined, servername: name });
}

// The answer was an upgrade, but not to this protocol. The socket's 'error' and 'close' become those of the WebSocket.
function failSocket(websocket, socket, message) {
  giveUp(websocket);
  socket.once('error', (error) => websocket.emit('error', error));
  socket.once('close', () => websocket.emitClose());
  socket.destroy(new Error(message));
}

function tell(websocket, error) {
  giveUp(websocket);
  websocket.emit('error', error);
  websocket.emitClose();
}

function giveUp(websocket) {
  websocket._readyState = CLOSING;
  websocket[kOpening] = null;
  websocket._errorEmitted = true;
}

function lowerCased(headers) {
  const copy = {};
  for (const name of Object.keys(headers || {})) copy[name.toLowerCase()] = headers[name];
  return copy;
}

module.exports = { abandon, connect, kOpening };
