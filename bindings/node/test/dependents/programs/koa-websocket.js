'use strict';

// koa-websocket: middleware that runs for a connection, and HTTP on the same port.

const { once } = require('node:events');
const Koa = require('koa');
const websockify = require('koa-websocket');
const { WebSocket } = require('ws');

async function main() {
  const app = websockify(new Koa());
  app.use((context) => {
    context.body = 'a page';
  });
  app.ws.use((context, next) => {
    context.user = context.query.user;
    return next();
  });
  app.ws.use((context) => {
    context.websocket.send(`hello ${context.user} on ${context.path}`);
    context.websocket.on('message', (data, isBinary) => context.websocket.send(data, { binary: isBinary }));
    context.websocket.on('close', (code) => console.log('server saw', code));
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  console.log(await (await fetch(`http://127.0.0.1:${port}/`)).text());

  const socket = new WebSocket(`ws://127.0.0.1:${port}/room?user=ann`);
  console.log(String((await once(socket, 'message'))[0]));
  for (const data of ['text', Buffer.alloc(3000, 'b')]) {
    socket.send(data);
    const [echo, isBinary] = await once(socket, 'message');
    console.log(echo.length, isBinary);
  }
  socket.close(1000);
  console.log('client saw', (await once(socket, 'close'))[0]);
  server.closeAllConnections();
  server.close();
}

main();
