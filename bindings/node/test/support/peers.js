'use strict';

// Peers: the other ends that the tests of the shell speak to. Raw ones are plain TCP, so that each byte is seen.

const net = require('node:net');

// The same tests run against npm's ws with ROPEWAY_SUBJECT=ws, but for those of additions: they say what ws does, too.
const WebSocket = require(process.env.ROPEWAY_SUBJECT || '../..');

const KEY = 'dGhlIHNhbXBsZSBub25jZQ==';
// RFC 6455 section 1.3: the answer to this key.
const ACCEPT = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';

const REQUEST = [
  'GET / HTTP/1.1',
  'Host: localhost',
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Key: ${KEY}`,
  'Sec-WebSocket-Version: 13'
];

const ANSWER = [
  'HTTP/1.1 101 Switching Protocols',
  'Upgrade: websocket',
  'Connection: Upgrade',
  `Sec-WebSocket-Accept: ${ACCEPT}`
];

/** Waits for a promise, and fails with the name of what did not happen. */
async function within(what, promise, milliseconds = 10000) {
  let timer;
  const late = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`not within ${milliseconds} ms: ${what}`)), milliseconds);
  });
  try {
    return await Promise.race([promise, late]);
  } finally {
    clearTimeout(timer);
  }
}

/** The arguments of an event. Unlike `events.once` it does not fail at 'error', which may belong to the story. */
function event(emitter, name) {
  return within(`'${name}'`, new Promise((resolve) => emitter.once(name, (...args) => resolve(args))));
}

/** The next exception that nobody catches. The test runner does not see it. */
function takeUncaught(t) {
  const others = process.listeners('uncaughtException');
  for (const one of others) process.removeListener('uncaughtException', one);
  t.after(() => others.forEach((one) => process.on('uncaughtException', one)));
  return event(process, 'uncaughtException');
}

/** Waits until a WebSocket is closed, which it may be already. */
async function whenClosed(websocket) {
  if (websocket.readyState !== WebSocket.CLOSED) await event(websocket, 'close');
}

/** A frame of a server; of a client with `masked`. */
function plain(first, payload = '') {
  return encode(first, Buffer.from(payload), 0);
}

/** A frame of a client. The key is zero, which leaves the payload as it is. */
function masked(first, payload = '') {
  return encode(first, Buffer.from(payload), 0x80);
}

function encode(first, payload, mask) {
  const { length } = payload;
  const header = length < 126 ? [first, mask | length] : [first, mask | 126, length >> 8, length & 255];
  return Buffer.concat([Buffer.from(header), Buffer.alloc(mask ? 4 : 0), payload]);
}

/** The payload of a close frame. */
function closing(code, reason = '') {
  return Buffer.concat([Buffer.from([code >> 8, code & 255]), Buffer.from(reason)]);
}

/** A socket whose bytes can be waited for. */
class Raw {
  constructor(socket) {
    this.socket = socket;
    this.bytes = Buffer.alloc(0);
    this.isEnded = false;
    this.wake = () => {};
    socket.on('data', (chunk) => {
      this.bytes = Buffer.concat([this.bytes, chunk]);
      this.wake();
    });
    for (const name of ['end', 'close']) {
      socket.on(name, () => {
        this.isEnded = true;
        this.wake();
      });
    }
    // A reset is an end like any other here.
    socket.on('error', () => {});
  }

  write(...parts) {
    this.socket.write(Buffer.concat(parts.map((part) => Buffer.from(part))));
  }

  /** Waits until `count` bytes have come, and takes them. */
  async read(count, what = `${count} bytes`) {
    await this.until(() => this.bytes.length >= count || this.isEnded, what);
    const taken = this.bytes.subarray(0, count);
    this.bytes = this.bytes.subarray(count);
    return taken;
  }

  /** Waits for the end of a head of HTTP, and takes it. */
  async head() {
    await this.until(() => this.bytes.includes('\r\n\r\n') || this.isEnded, 'a head');
    const end = this.bytes.indexOf('\r\n\r\n');
    return (await this.read(end < 0 ? this.bytes.length : end + 4)).toString('latin1');
  }

  /** Waits for the end of the connection, and takes all that came before. */
  async rest() {
    await this.until(() => this.isEnded, 'the end');
    return this.read(this.bytes.length);
  }

  async until(condition, what) {
    await within(
      what,
      new Promise((resolve) => {
        this.wake = () => {
          if (condition()) resolve();
        };
        this.wake();
      })
    );
  }
}

/** A server of the subject on a free port. It is closed with the test. */
async function serve(t, options = {}) {
  const server = new WebSocket.Server({ port: 0, host: '127.0.0.1', ...options });
  t.after(() => {
    for (const client of server.clients || []) client.terminate();
    server.close();
  });
  await event(server, 'listening');
  return server;
}

/** A raw client of a server, connected and not more. */
async function connectRaw(t, server) {
  const socket = net.connect(server.address().port, '127.0.0.1');
  t.after(() => socket.destroy());
  await event(socket, 'connect');
  return new Raw(socket);
}

/** A raw client that has opened a WebSocket; and the server's end of it. */
async function openRaw(t, server, ...headers) {
  const raw = await connectRaw(t, server);
  raw.write([...REQUEST, ...headers, '', ''].join('\r\n'));
  const [[websocket, req], answer] = await Promise.all([event(server, 'connection'), raw.head()]);
  return { raw, websocket, req, answer };
}

/** The address of a raw server. `answer(key, raw, count)` is called for each request; what it returns is written. */
async function serveRaw(t, answer) {
  const requests = [];
  const sockets = new Set();
  const server = net.createServer(async (socket) => {
    sockets.add(socket);
    const raw = new Raw(socket);
    const request = await raw.head();
    requests.push(request);
    const [, key] = /^sec-websocket-key: (.*)\r$/im.exec(request) || [];
    const text = answer(key, raw, requests.length, server.address().port);
    if (text) socket.write(text);
  });
  t.after(() => {
    for (const socket of sockets) socket.destroy();
    server.close();
  });
  server.listen(0, '127.0.0.1');
  await event(server, 'listening');
  const { port } = server.address();
  return { url: `ws://127.0.0.1:${port}/`, port, requests };
}

/** The two ends of a connection, both of the subject. */
async function pair(t, serverOptions, clientOptions) {
  const server = await serve(t, serverOptions);
  const client = new WebSocket(`ws://127.0.0.1:${server.address().port}`, clientOptions);
  t.after(() => {
    client.on('error', () => {});
    client.terminate();
  });
  const [[websocket]] = await Promise.all([event(server, 'connection'), event(client, 'open')]);
  return { server, websocket, client };
}

/** The events of a WebSocket, a line for each. */
function record(websocket, label = '') {
  const lines = [];
  const note = (text) => lines.push(label + text);
  websocket.on('open', () => note('open'));
  websocket.on('message', (data, isBinary) => note(`${isBinary ? 'binary' : 'text'} ${data}`));
  websocket.on('ping', (data) => note(`ping ${data}`.trim()));
  websocket.on('pong', (data) => note(`pong ${data}`.trim()));
  websocket.on('error', (error) => note(`error ${error.code || error.message}`));
  websocket.on('close', (code, reason) => note(`close ${code} ${reason}`.trim()));
  return lines;
}

module.exports = {
  ACCEPT,
  ANSWER,
  REQUEST,
  Raw,
  WebSocket,
  closing,
  connectRaw,
  event,
  masked,
  openRaw,
  pair,
  plain,
  record,
  serve,
  serveRaw,
  takeUncaught,
  whenClosed,
  within
};
