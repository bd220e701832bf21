// Every construct of @types/ws once, for `import`; see constructs.cts.

import { createServer, IncomingMessage, type ClientRequest } from 'http';
import { createServer as createSecureServer } from 'https';
import { connect } from 'net';
import { Duplex } from 'stream';
import WebSocket, { createWebSocketStream, WebSocket as Named, WebSocketServer } from 'ws';
import type {
  AddressInfo, CertMeta, ClientOptions, CloseEvent, Data, ErrorEvent, Event, EventListenerOptions, FinishRequestCallback, MessageEvent,
  PerMessageDeflateOptions, RawData, Server, ServerOptions, VerifyClientCallbackAsync, VerifyClientCallbackSync
} from 'ws';

class Mine extends WebSocket {
  user = 'a';
}
class Request extends IncomingMessage {
  user = 'a';
}

// Constructors.
const plain = new WebSocket('ws://localhost');
const withUrl = new WebSocket(new URL('ws://localhost'), { handshakeTimeout: 1 });
const withProtocol = new WebSocket('ws://localhost', 'a');
const withProtocols = new WebSocket('ws://localhost', ['a', 'b'], { timeout: 5, family: 4, auth: 'a:b', lookup: undefined });
const withoutAddress: WebSocket = new WebSocket(null);
const named: Named = new Named('ws://localhost');
const mine: Mine = new Mine('ws://localhost');

// Options of a client.
const meta: CertMeta[] = ['a', ['a'], Buffer.alloc(1), [Buffer.alloc(1)]];
const finish: FinishRequestCallback = (request: ClientRequest, websocket: WebSocket) => {
  request.setHeader('x', websocket.url);
  request.end();
};
const clientOptions: ClientOptions = {
  protocol: 'a',
  followRedirects: true,
  generateMask: (mask: Buffer) => void mask.fill(1),
  handshakeTimeout: 1,
  maxRedirects: 1,
  perMessageDeflate: true,
  localAddress: '127.0.0.1',
  protocolVersion: 13,
  headers: { a: 'b' },
  origin: 'https://example.com',
  agent: undefined,
  host: 'localhost',
  family: 4,
  checkServerIdentity: (name: string, cert: CertMeta) => name !== cert,
  rejectUnauthorized: false,
  allowSynchronousEvents: false,
  autoPong: false,
  maxPayload: 1,
  skipUTF8Validation: true,
  createConnection: connect,
  finishRequest: finish,
  ca: 'a certificate',
  passphrase: 'secret'
};
const nothing: ClientOptions = {
  protocol: undefined, followRedirects: undefined, handshakeTimeout: undefined, maxRedirects: undefined, perMessageDeflate: undefined,
  localAddress: undefined, protocolVersion: undefined, headers: undefined, origin: undefined, agent: undefined, host: undefined,
  family: undefined, rejectUnauthorized: undefined, allowSynchronousEvents: undefined, autoPong: undefined, maxPayload: undefined,
  skipUTF8Validation: undefined, createConnection: undefined, finishRequest: undefined
};
const deflate: PerMessageDeflateOptions = {
  serverNoContextTakeover: true,
  clientNoContextTakeover: false,
  serverMaxWindowBits: 15,
  clientMaxWindowBits: 9,
  zlibDeflateOptions: {
    flush: 1, finishFlush: 1, chunkSize: 1024, windowBits: 15, level: 1, memLevel: 1, strategy: 1, dictionary: Buffer.alloc(1), info: false
  },
  zlibInflateOptions: { chunkSize: 1024, maxOutputLength: 1 },
  threshold: 1,
  concurrencyLimit: 1
};
const noDeflate: PerMessageDeflateOptions = {
  serverNoContextTakeover: undefined, clientNoContextTakeover: undefined, serverMaxWindowBits: undefined,
  clientMaxWindowBits: undefined, zlibDeflateOptions: undefined, zlibInflateOptions: undefined, threshold: undefined,
  concurrencyLimit: undefined
};

// Constants.
const statics: [0, 1, 2, 3] = [WebSocket.CONNECTING, WebSocket.OPEN, WebSocket.CLOSING, WebSocket.CLOSED];
const constants: [0, 1, 2, 3] = [plain.CONNECTING, plain.OPEN, plain.CLOSING, plain.CLOSED];

// Properties.
plain.binaryType = 'nodebuffer';
plain.binaryType = 'arraybuffer';
plain.binaryType = 'fragments';
const numbers: number[] = [plain.bufferedAmount, plain.readyState];
const texts: string[] = [plain.extensions, plain.protocol, plain.url];
const paused: boolean = plain.isPaused;
function stateOf(websocket: WebSocket): 0 | 1 | 2 | 3 {
  if (websocket.readyState === websocket.OPEN) {
    const open: 1 = websocket.readyState;
    return open;
  }
  if (websocket.readyState === WebSocket.CONNECTING) return websocket.readyState;
  const rest: 2 | 3 = websocket.readyState;
  return rest;
}

// Methods.
plain.close();
plain.close(1000);
plain.close(1000, 'reason');
plain.close(1000, Buffer.alloc(1));
plain.ping();
plain.ping('data', true, (error: Error) => error.message);
plain.pong();
plain.pong('data', true, (error: Error) => error.message);
for (const data of [
  'text', 1, Buffer.alloc(1), new DataView(new ArrayBuffer(1)), new Uint8Array(1), new Float32Array(1), new ArrayBuffer(1),
  new SharedArrayBuffer(1), new Blob([]), [1, 2], ['a'] as readonly any[], [1] as readonly number[]
]) {
  plain.send(data);
}
plain.send({ valueOf: () => new ArrayBuffer(1) });
plain.send({ valueOf: () => new SharedArrayBuffer(1) });
plain.send({ valueOf: () => new Uint8Array(1) });
plain.send({ valueOf: () => [1] as readonly number[] });
plain.send({ valueOf: () => 'text' });
plain.send({ [Symbol.toPrimitive]: (hint: string) => hint });
plain.send('text', (error?: Error) => error?.message);
plain.send('text', {});
plain.send('text', { mask: true, binary: true, compress: true, fin: true }, (error?: Error) => error?.message);
plain.send('text', { mask: undefined, binary: undefined, compress: undefined, fin: undefined });
plain.terminate();
plain.pause();
plain.resume();

// Event objects.
plain.onopen = (event: Event) => [event.type, event.target.url];
plain.onerror = (event: ErrorEvent) => [event.type, event.target.url, event.error, event.message.length];
plain.onclose = (event: CloseEvent) => [event.type, event.target.url, event.wasClean, event.code + 1, event.reason.length];
plain.onmessage = (event: MessageEvent) => [event.type, event.target.url, event.data];
plain.onopen = plain.onerror = plain.onclose = plain.onmessage = null;
const once: EventListenerOptions = { once: true };
plain.addEventListener('open', (event) => event.type);
plain.addEventListener('error', (event) => event.message, once);
plain.addEventListener('close', { handleEvent: (event) => event.code }, { once: undefined });
plain.addEventListener('message', (event: MessageEvent) => event.data, { once: true });
plain.removeEventListener('open', (event) => event.type);
plain.removeEventListener('close', { handleEvent: (event) => event.code });
const map: (keyof WebSocket.WebSocketEventMap)[] = ['open', 'error', 'close', 'message'];

// Events of a connection, by each of the methods.
for (const method of ['on', 'once', 'off'] as const) {
  const set = plain[method].bind(plain);
  set('anything', () => {});
}
plain.on('close', function (code, reason) { this.url; code + reason.length; });
plain.on('error', function (error) { this.url; error.message; });
plain.on('upgrade', function (response) { this.url; response.headers; });
plain.on('message', function (data: RawData, isBinary) { this.send(data); isBinary === true; });
plain.on('open', function () { this.url; });
plain.on('ping', function (data) { this.pong(data.subarray(1)); });
plain.on('pong', function (data) { this.pong(data.subarray(1)); });
plain.on('redirect', function (url, request) { this.url; request.setHeader('a', url); });
plain.on('unexpected-response', function (request, response) { this.url; request.destroy(); response.statusCode; });
plain.on('own', function (...args) { this.url; args.length; });
plain.on(Symbol('own'), (one, two) => [one, two]);
plain.once('close', function (code, reason) { this.url; code + reason.length; });
plain.once('error', (error) => error.message);
plain.once('upgrade', (response) => response.headers);
plain.once('message', (data, isBinary) => [data.toString(), isBinary === true]);
plain.once('open', () => {});
plain.once('ping', (data) => data.length);
plain.once('pong', (data) => data.length);
plain.once('redirect', (url, request) => request.setHeader('a', url));
plain.once('unexpected-response', (request, response) => [request.path, response.statusCode]);
plain.off('close', (code, reason) => code + reason.length);
plain.off('error', (error) => error.message);
plain.off('upgrade', (response) => response.headers);
plain.off('message', (data, isBinary) => [data, isBinary]);
plain.off('open', () => {});
plain.off('ping', (data) => data.length);
plain.off('pong', (data) => data.length);
plain.off('redirect', (url, request) => request.setHeader('a', url));
plain.off('unexpected-response', (request, response) => [request.path, response.statusCode]);
plain.addListener('close', (code, reason) => code + reason.length);
plain.addListener('error', (error) => error.message);
plain.addListener('upgrade', (response) => response.headers);
plain.addListener('message', (data, isBinary) => [data, isBinary]);
plain.addListener('open', () => {});
plain.addListener('ping', (data) => data.length);
plain.addListener('pong', (data) => data.length);
plain.addListener('redirect', (url, request) => request.setHeader('a', url));
plain.addListener('unexpected-response', (request, response) => [request.path, response.statusCode]);
plain.addListener('own', (...args) => args.length);
plain.removeListener('close', (code, reason) => code + reason.length);
plain.removeListener('error', (error) => error.message);
plain.removeListener('upgrade', (response) => response.headers);
plain.removeListener('message', (data, isBinary) => [data, isBinary]);
plain.removeListener('open', () => {});
plain.removeListener('ping', (data) => data.length);
plain.removeListener('pong', (data) => data.length);
plain.removeListener('redirect', (url, request) => request.setHeader('a', url));
plain.removeListener('unexpected-response', (request, response) => [request.path, response.statusCode]);
plain.removeListener('own', (...args) => args.length);
// A variable as the type, and a listener whose type is taken from a method.
const either: 'ping' | 'pong' = Math.random() > 2 ? 'ping' : 'pong';
plain.on(either, (data) => data.length);
const anyEvent: string = 'close';
plain.on(anyEvent, (...args: any[]) => args.length);
const listener: Parameters<typeof plain.once>[1] = () => {};
plain.off('open', listener);
plain.on('open', () => {}).once('close', () => {}).on('message', () => {}).terminate();

// Options of a server, with a class of its own for connections and for requests.
const sync: VerifyClientCallbackSync = (info) => info.secure && info.origin === info.req.url;
const async: VerifyClientCallbackAsync<Request> = (info, callback) => {
  callback(info.origin === info.req.user);
  callback(false, 401);
  callback(false, 401, 'no', { a: 'b', c: ['d'], e: 1 });
};
const serverOptions: ServerOptions<typeof Mine, typeof Request> = {
  host: 'localhost',
  port: 1,
  backlog: 1,
  server: createServer({ IncomingMessage: Request }),
  verifyClient: async,
  handleProtocols: (protocols: Set<string>, request: Request) => (protocols.has(request.user) ? request.user : false),
  path: '/a',
  noServer: false,
  allowSynchronousEvents: true,
  autoPong: true,
  clientTracking: true,
  perMessageDeflate: deflate,
  maxPayload: 1,
  skipUTF8Validation: true,
  WebSocket: Mine
};
const noOptions: ServerOptions = {
  host: undefined, port: undefined, backlog: undefined, server: undefined, verifyClient: undefined, path: undefined, noServer: undefined,
  allowSynchronousEvents: undefined, autoPong: undefined, clientTracking: undefined, perMessageDeflate: undefined, maxPayload: undefined,
  skipUTF8Validation: undefined, WebSocket: undefined
};
const server: Server<typeof Mine, typeof Request> = new WebSocketServer(serverOptions, () => {});
const simple = new WebSocketServer();
const secure: WebSocketServer = new WebSocketServer({ server: createSecureServer({}), verifyClient: sync });
const anything = new WebSocketServer({ noServer: true, verifyClient: (info: any, callback: any) => callback(info) });
class MyServer extends WebSocketServer {
  shouldHandle(request: IncomingMessage) {
    return request.url === '/';
  }
}

// Members of a server.
const members: [ServerOptions<typeof Mine, typeof Request>, string, Set<Mine>] = [server.options, server.path, server.clients];
const address: AddressInfo | string | null = server.address();
if (address !== null && typeof address === 'object') [address.address, address.family, address.port + 1];
server.close();
server.close((error?: Error) => error?.message);
server.handleUpgrade(new Request(null!), new Duplex(), Buffer.alloc(0), (client, request) => [client.user, request.user]);
const handled: boolean | Promise<boolean> = server.shouldHandle(new Request(null!));

// Events of a server, by each of the methods.
server.on('connection', function (websocket, request) { this.clients; [websocket.user, request.user]; });
server.on('error', function (error) { this.path; error.message; });
server.on('headers', function (headers, request) { this.path; headers.push(request.user); });
server.on('close', function () { this.path; });
server.on('listening', function () { this.path; });
server.on('wsClientError', function (error, socket, request) { this.path; socket.end(error.message + request.user); });
server.on('own', function (...args) { this.path; args.length; });
server.once('connection', (websocket, request) => [websocket.user, request.user]);
server.once('error', (error) => error.message);
server.once('headers', (headers, request) => headers.push(request.user));
server.once('close', () => {});
server.once('listening', () => {});
server.once('wsClientError', (error, socket, request) => socket.end(error.message + request.user));
server.once(Symbol('own'), (...args) => args.length);
server.off('connection', (websocket, request) => [websocket.user, request.user]);
server.off('error', (error) => error.message);
server.off('headers', (headers, request) => headers.push(request.user));
server.off('close', () => {});
server.off('listening', () => {});
server.off('wsClientError', (error, socket, request) => socket.end(error.message + request.user));
server.off('own', (...args) => args.length);
server.addListener('connection', (websocket, request) => [websocket.user, request.user]);
server.addListener('error', (error) => error.message);
server.addListener('headers', (headers, request) => headers.push(request.user));
server.addListener('close', () => {});
server.addListener('listening', () => {});
server.addListener('wsClientError', (error, socket, request) => socket.end(error.message + request.user));
server.addListener('own', (...args) => args.length);
server.removeListener('connection', (websocket, request) => [websocket.user, request.user]);
server.removeListener('error', (error) => error.message);
server.removeListener('headers', (headers, request) => headers.push(request.user));
server.removeListener('close', () => {});
server.removeListener('listening', () => {});
server.removeListener('wsClientError', (error, socket, request) => socket.end(error.message + request.user));
server.removeListener('own', (...args) => args.length);
simple.on('connection', (websocket) => simple.clients.forEach((client) => client !== websocket && client.send('text')));
createServer().on('upgrade', (request, socket, head) => {
  simple.handleUpgrade(request, socket, head, (websocket) => simple.emit('connection', websocket, request));
});

// Streams.
const stream: Duplex = createWebSocketStream(plain);
createWebSocketStream(plain, { encoding: 'utf8', allowHalfOpen: true }).pipe(stream);

// Data.
const raw: RawData[] = [Buffer.alloc(1), new ArrayBuffer(1), [Buffer.alloc(1)]];
const data: Data[] = ['text', ...raw];

// Mistakes.
// @ts-expect-error there is no such event for listeners that get event objects
plain.addEventListener('other', () => {});
// @ts-expect-error read only
plain.readyState = plain.OPEN;
// @ts-expect-error read only
plain.OPEN = 123;
// @ts-expect-error read only
plain.bufferedAmount = 1;
// @ts-expect-error read only
plain.extensions = 'a';
// @ts-expect-error read only
plain.protocol = 'a';
// @ts-expect-error no such type
plain.binaryType = 'other';
// @ts-expect-error a boolean is no type
plain.binaryType = true;
// @ts-expect-error no state
if (plain.readyState === 4) plain.close();
// @ts-expect-error a boolean is no message
plain.send(true);
// @ts-expect-error no option
new WebSocketServer({ other: 1 });
// @ts-expect-error there has to be an address, or null
new WebSocket();

export {
  address, anything, async, clientOptions, constants, data, handled, map, members, meta, mine, MyServer, named, noDeflate, noOptions,
  nothing, numbers, paused, secure, stateOf, statics, texts, withoutAddress, withProtocol, withProtocols, withUrl
};
