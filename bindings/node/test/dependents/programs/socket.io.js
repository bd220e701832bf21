'use strict';

// socket.io: a chat of three, texts and bytes, acknowledgements, rooms. A room's message is encoded once for all.

const { createServer } = require('node:http');
const { once } = require('node:events');
const { Server } = require('socket.io');
const { io } = require('socket.io-client');

async function main() {
  const http = createServer();
  const server = new Server(http, { transports: ['websocket'], perMessageDeflate: { threshold: 100 } });
  server.on('connection', (socket) => {
    socket.on('join', (room, acknowledge) => {
      socket.join(room);
      acknowledge(`welcome to ${room}`);
    });
    socket.on('say', (room, text) => server.to(room).emit('said', text));
    socket.on('bytes', (bytes, acknowledge) => acknowledge(Buffer.concat([bytes, Buffer.from([255])])));
  });
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${http.address().port}`;
  const clients = [0, 1, 2].map(() => io(url, { transports: ['websocket'], reconnection: false, forceNew: true }));
  const heard = clients.map((client) => new Promise((resolve) => {
    const texts = [];
    client.on('said', (text) => texts.push(text) === 4 && resolve(texts));
  }));
  for (const client of clients) {
    if (!client.connected) await once(client, 'connect');
    console.log(await client.emitWithAck('join', 'room'), client.io.engine.transport.name);
  }
  clients[0].emit('say', 'room', 'hello');
  clients[0].emit('say', 'room', 'long '.repeat(1000));
  clients[0].emit('say', 'room', { nested: ['\u00e9', 1, null] });
  clients[0].emit('say', 'room', Buffer.from('bytes'));
  for (const texts of await Promise.all(heard)) {
    console.log(texts.map((text) => (Buffer.isBuffer(text) ? text.toString('hex') : JSON.stringify(text).slice(0, 40))).join(' | '));
  }
  const echo = await clients[1].emitWithAck('bytes', Buffer.alloc(100000, 7));
  console.log(echo.length, echo[0], echo[echo.length - 1]);
  const gone = once(clients[2], 'disconnect');
  server.sockets.sockets.get(clients[2].id).disconnect(true);
  console.log('disconnected:', (await gone)[0]);
  clients[0].close();
  clients[1].close();
  await server.close();
  console.log('closed');
}

main();
