'use strict';

// engine.io: polling that is upgraded, texts and bytes, a message that is encoded once for all clients.

const { createServer } = require('node:http');
const { once } = require('node:events');
const engine = require('engine.io');
const { Socket } = require('engine.io-client');
const { WebSocket } = require('ws');

async function main() {
  const http = createServer();
  const server = engine.attach(http, { perMessageDeflate: true });
  server.on('connection', (socket) => {
    socket.on('message', (data) => socket.send(data));
    socket.on('upgrade', (transport) => console.log('upgraded to', transport.name));
  });
  await new Promise((resolve) => http.listen(0, '127.0.0.1', resolve));
  const url = `ws://127.0.0.1:${http.address().port}`;

  const upgraded = new Socket(url, { transports: ['polling', 'websocket'] });
  await once(upgraded, 'open');
  await once(upgraded, 'upgrade');
  upgraded.send('after the upgrade');
  console.log((await once(upgraded, 'message'))[0]);
  upgraded.close();

  const direct = new Socket(url, { transports: ['websocket'] });
  await once(direct, 'open');
  for (const data of ['text', 'x'.repeat(70000), Buffer.from([1, 2, 3]), Buffer.alloc(70000, 1)]) {
    direct.send(data);
    const [echo] = await once(direct, 'message');
    console.log(typeof echo === 'string' ? `text ${echo.length}` : `bytes ${Buffer.from(echo).length}`);
  }

  // As socket.io's adapter does it: the frame is made by Sender.frame and sent by _sender.sendFrame.
  const frame = WebSocket.Sender.frame('4prepared', { readOnly: false, mask: false, rsv1: false, opcode: 1, fin: true });
  for (const socket of Object.values(server.clients)) socket.send('prepared', { wsPreEncodedFrame: frame });
  console.log((await once(direct, 'message'))[0]);

  const closed = once(direct, 'close');
  server.close();
  console.log('closed:', (await closed)[0]);
  http.close();
}

main();
