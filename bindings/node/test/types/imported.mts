// Types for `import`: every member, and the additions.

import { createServer, IncomingMessage } from 'node:http';
import WebSocket, { createWebSocketStream, PerMessageDeflate, Receiver, Sender, WebSocketServer } from 'ropeway';
import type { ClientOptions, CloseEvent, MessageEvent, RawData, ServerOptions } from 'ropeway';

class Mine extends WebSocket {
  user = '';
}
class Request extends IncomingMessage {
  user = '';
}

const server = new WebSocketServer({
  server: createServer({ IncomingMessage: Request }),
  WebSocket: Mine,
  path: '/path',
  backlog: 10,
  host: 'localhost',
  clientTracking: true,
  handleProtocols: (protocols, request) => (protocols.has(request.user) ? request.user : false),
  verifyClient: (info, callback) => callback(info.origin === info.req.user, 401, 'no', { 'x-a': 'b' }),
  keepalive: { interval: 1000, timeout: 100 },
  maxBuffered: { bytes: 1000, then: 'drop' },
  origins: ['https://example.com']
});
const options: ServerOptions = { noServer: true, origins: 'same', trustedProxies: ['10.0.0.0/8'], maxBuffered: 1000, maxPendingAutoPongs: 3, closeTimeout: 10 };

server.on('connection', (websocket, request) => (websocket.user = request.user));
server.once('headers', (headers, request) => headers.push(`x-user: ${request.user}`));
server.on('wsClientError', (error, socket, request) => socket.end(error.message + request.user));
server.on('error', (error) => error.message);
server.on('listening', () => server.address());
server.off('close', () => {});
server.on(Symbol('other'), (one, two) => [one, two]);
const count: number = server.broadcast('text', { except: [...server.clients], binary: false, compress: true });
const terminated: Promise<number> = server.drain(1000);
server.close((error) => error?.message);
server.handleUpgrade(new Request(null as any), null as any, Buffer.alloc(0), (websocket) => websocket.user);
server.shouldHandle(new Request(null as any));

const clientOptions: ClientOptions = { followRedirects: true, handshakeTimeout: 10, keepalive: { interval: 10 }, family: 4 };
const socket = new WebSocket(new URL('ws://localhost'), ['a', 'b'], clientOptions);
socket.on('message', function (data: RawData, isBinary) {
  this.send(isBinary ? data : String(data));
});
socket.on('close', (code, reason) => code + reason.length);
socket.on('unexpected-response', (request, response) => request.path + response.statusCode);
socket.on('upgrade', (response) => response.headers);
socket.on('redirect', (url, request) => request.setHeader('x', url));
socket.on('ping', (data) => socket.pong(data, true, () => {}));
socket.once('open', () => socket.ping());
socket.onmessage = (event: MessageEvent) => event.data;
socket.onclose = (event: CloseEvent) => event.wasClean;
socket.addEventListener('error', { handleEvent: (event) => event.message }, { once: true });
socket.removeEventListener('open', () => {});
socket.binaryType = 'blob';
for (const data of ['text', 1, Buffer.alloc(1), new Uint8Array(1), new ArrayBuffer(1), new Blob([]), [1, 2]]) socket.send(data);
socket.send('part', { fin: false, compress: false, mask: true }, (error) => error?.message);
if (!socket.isPaused) socket.pause();
socket.resume();
socket.close(1000, new Uint8Array(1));
socket.terminate();
const text: string = socket.url + socket.protocol + socket.extensions;
const state: 0 | 1 | 2 | 3 = socket.readyState;

createWebSocketStream(socket).end();
new Receiver().on('conclude', (code: number) => code);
new Sender(new Receiver()).ping('x', false);
new PerMessageDeflate().cleanup();

// @ts-expect-error there is no such event for listeners that get event objects
socket.addEventListener('ping', () => {});
// @ts-expect-error it is read only
socket.readyState = 1;
// @ts-expect-error it is 'close' or 'drop'
new WebSocketServer({ noServer: true, maxBuffered: { bytes: 1, then: 'wait' } });

export { count, options, state, terminated, text };
