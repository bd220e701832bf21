'use strict';

// @fastify/websocket: a route, its hooks, a stream over a connection, and the plugin's own client for tests.

const { once } = require('node:events');
const fastify = require('fastify');
const websocket = require('@fastify/websocket');
const { WebSocket, createWebSocketStream } = require('ws');

async function main() {
  const app = fastify();
  await app.register(websocket, { options: { maxPayload: 1000 } });
  app.get('/echo', { websocket: true }, (socket, request) => {
    socket.on('message', (data, isBinary) => socket.send(`${request.query.name}: ${data}`, { binary: isBinary }));
    socket.on('error', (error) => console.log('server error', error.code));
  });
  app.get('/page', (request, reply) => reply.send('a page'));
  await app.listen({ port: 0, host: '127.0.0.1' });
  const { port } = app.server.address();
  console.log(await (await fetch(`http://127.0.0.1:${port}/page`)).text());

  const socket = new WebSocket(`ws://127.0.0.1:${port}/echo?name=a`);
  await once(socket, 'open');
  for (const data of ['text', Buffer.from('bytes')]) {
    socket.send(data);
    const [echo, isBinary] = await once(socket, 'message');
    console.log(String(echo), isBinary);
  }
  socket.send('x'.repeat(1001));
  console.log('too big:', (await once(socket, 'close'))[0]);

  const stream = createWebSocketStream(new WebSocket(`ws://127.0.0.1:${port}/echo?name=b`), { encoding: 'utf8' });
  stream.write('through a stream');
  console.log((await once(stream, 'data'))[0]);
  stream.end();
  await once(stream, 'close');

  const injected = await app.injectWS('/echo?name=c');
  const answer = once(injected, 'message');
  injected.send('without a port');
  console.log(String((await answer)[0]));
  injected.terminate();
  await app.close();
  console.log('closed');
}

main();
