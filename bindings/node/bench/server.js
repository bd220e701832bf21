'use strict';

// The server that is measured: the same program with ws or with ropeway. It prints its port and stays until it is killed.
//
//   node server.js ws|ropeway [tls]

const fs = require('node:fs');
const http = require('node:http');
const https = require('node:https');
const path = require('node:path');

const { WebSocketServer } = require(process.argv[2] === 'ws' ? 'ws' : '..');
const isTls = process.argv[3] === 'tls';

const LARGEST = 64 << 20;
const PLAIN = { noServer: true, perMessageDeflate: false, maxPayload: LARGEST };
const DEFLATE = {
  noServer: true,
  maxPayload: LARGEST,
  perMessageDeflate: { serverNoContextTakeover: true, clientNoContextTakeover: true, threshold: 0 }
};

const plain = new WebSocketServer(PLAIN);
const deflate = new WebSocketServer(DEFLATE);
const subscribers = new Set();
const all = new WebSocketServer(PLAIN);

const paths = {
  '/': [plain, echo],
  '/deflate': [deflate, echo],
  // Each message goes to every client: by `send` in a loop, and by ropeway's addition.
  '/loop': [plain, inLoop],
  '/broadcast': [all, (ws) => ws.on('message', (data, binary) => all.broadcast(data, { binary }))]
};

function echo(ws) {
  ws.on('message', (data, binary) => ws.send(data, { binary }));
}

function inLoop(ws) {
  subscribers.add(ws);
  ws.on('close', () => subscribers.delete(ws));
  ws.on('message', (data, binary) => {
    for (const subscriber of subscribers) subscriber.send(data, { binary });
  });
}

const server = isTls ? https.createServer(certificate()) : http.createServer();
server.on('upgrade', (request, socket, head) => {
  const found = paths[request.url];
  if (!found) return socket.destroy();
  const [wss, serve] = found;
  wss.handleUpgrade(request, socket, head, (ws) => {
    // Tracking is `handleUpgrade`'s work where the server has it.
    ws.on('error', () => {});
    serve(ws);
  });
});
server.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log(server.address().port));

// The certificate of the interoperability tests.
function certificate() {
  const read = (name) => fs.readFileSync(path.join(__dirname, '../../../conformance/interop/tls', name));
  return { cert: read('server.pem'), key: read('server.key') };
}
