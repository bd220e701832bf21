'use strict';

// A server in a process of its own, for connections that come and go. On the word `look` it collects garbage and tells what it holds.

const fs = require('node:fs');
const v8 = require('node:v8');

const { WebSocketServer } = require(process.env.ROPEWAY_SUBJECT || '../..');

const wss = new WebSocketServer({ port: 0, host: '127.0.0.1', perMessageDeflate: { threshold: 0 }, backlog: 4096 }, () => {
  process.send({ port: wss.address().port });
});
wss.on('connection', (ws) => {
  ws.on('error', () => {});
  ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary }));
});

process.on('message', () => {
  v8.setFlagsFromString('--expose-gc');
  const collect = require('node:vm').runInNewContext('gc');
  // Memory that a finalizer releases is free only after the next turn of the loop.
  collect();
  setImmediate(() => {
    collect();
    process.send({
      clients: wss.clients.size,
      rss: process.memoryUsage().rss,
      descriptors: fs.existsSync('/proc/self/fd') ? fs.readdirSync('/proc/self/fd').length : 0,
      // Node 20.13 and newer count the objects of a class in a heap snapshot.
      sockets: v8.queryObjects ? v8.queryObjects(require(process.env.ROPEWAY_SUBJECT || '../..').WebSocket, { format: 'count' }) : 0
    });
  });
});
