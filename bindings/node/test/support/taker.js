'use strict';

// A child that is sent sockets: with the request to upgrade, which it answers, or without, when it says what comes from them.

const { WebSocketServer } = require(process.env.ROPEWAY_SUBJECT || '../..');

const server = new WebSocketServer({ noServer: true });
server.on('connection', (websocket) => {
  websocket.on('message', (data, isBinary) => websocket.send(data, { binary: isBinary }));
  websocket.on('close', (code) => process.send({ closed: code }));
  websocket.send('from the child');
});

process.on('message', ({ req, head }, socket) => {
  if (req === undefined) {
    socket.on('data', (data) => process.send({ data: data.toString('base64') }));
    process.send({ taken: true });
  } else {
    server.handleUpgrade({ ...req, socket }, socket, Buffer.from(head, 'base64'), (websocket) => server.emit('connection', websocket));
  }
});
