'use strict';

// y-websocket: two documents in one room, changed on both sides and at the same time.

const { createServer } = require('node:http');
const { once } = require('node:events');
const Y = require('yjs');
const { WebsocketProvider } = require('y-websocket');
const { setupWSConnection } = require('y-websocket/bin/utils');
const { WebSocket, WebSocketServer } = require('ws');

function synced(provider) {
  return new Promise((resolve) => (provider.synced ? resolve() : provider.once('sync', resolve)));
}

function until(document, condition) {
  return new Promise((resolve) => {
    const check = () => condition() && resolve();
    document.on('update', check);
    check();
  });
}

async function main() {
  const http = createServer();
  const server = new WebSocketServer({ server: http });
  server.on('connection', setupWSConnection);
  http.listen(0, '127.0.0.1');
  await once(http, 'listening');
  const url = `ws://127.0.0.1:${http.address().port}`;

  const documents = [new Y.Doc(), new Y.Doc()];
  const providers = documents.map((document) => {
    return new WebsocketProvider(url, 'room', document, { WebSocketPolyfill: WebSocket, disableBc: true });
  });
  await Promise.all(providers.map(synced));
  const [one, two] = documents.map((document) => document.getText('text'));
  one.insert(0, 'hello');
  await until(documents[1], () => two.length === 5);
  two.insert(5, ' world');
  documents[0].getMap('map').set('key', 'x'.repeat(50000));
  await until(documents[0], () => one.length === 11);
  await until(documents[1], () => documents[1].getMap('map').has('key'));
  console.log(one.toString(), '|', two.toString(), documents[1].getMap('map').get('key').length);
  for (const provider of providers) provider.destroy();
  for (const client of server.clients) await once(client, 'close');
  http.close();
  console.log('closed');
  // The server's documents have timers that nothing ends.
  process.exit();
}

main();
