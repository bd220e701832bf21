'use strict';

// Heap: connections that are over leave no object behind, as heap snapshots show.

const assert = require('node:assert');
const { test } = require('node:test');
const v8 = require('node:v8');
const vm = require('node:vm');

const { WebSocket, event, serve, whenClosed, within } = require('./support/peers');

const CONNECTIONS = 200;
const AT_ONCE = 20;

// Growth of a class by at most this many objects is no leak. One object left by each connection would be 200.
const SLACK = 30;

// How a connection ends, after an echo.
const ENDS = {
  'close by the client': (client) => client.close(),
  'close by the server': (client, websocket) => websocket.close(1001),
  'terminate': (client) => client.terminate(),
  'a reset': (client) => client._socket.resetAndDestroy(),
  'a violation': (client) => client._socket.write(Buffer.from([0x8b, 0x00])),
  'a stream': (client) => WebSocket.createWebSocketStream(client).end('the end'),
  'a send without an end': (client) => {
    client.send(Buffer.alloc(1 << 20));
    client.terminate();
  },
  'a Blob that is being read': (client) => {
    client.send(new Blob(['text']), () => {});
    client.terminate();
  }
};

for (const perMessageDeflate of [false, { threshold: 0 }]) {
  test(`connections that are over leave nothing; ${perMessageDeflate ? 'compressed' : 'uncompressed'}`, { timeout: 300_000 }, async (t) => {
    const options = { perMessageDeflate, keepalive: { interval: 100_000 }, maxBuffered: 1 << 24 };
    const server = await serve(t, options);
    server.on('connection', (websocket, req) => {
      meeting.get(req.headers['sec-websocket-key'])(websocket);
      websocket.on('error', () => {});
      websocket.on('message', (data, isBinary) => websocket.send(data, { binary: isBinary }, () => {}));
    });
    // The first connections fill the pools.
    await comeAndGo(server, options, 100);
    const before = await counts(server);
    await comeAndGo(server, options, CONNECTIONS);
    const after = await counts(server);
    const grown = [...after].map(([name, count]) => [name, count - (before.get(name) || 0)]).filter(([, growth]) => growth > SLACK);
    assert.deepStrictEqual(grown, []);
    // Objects are counted as long as they are held.
    const held = Array.from({ length: SLACK + 1 }, () => new WebSocket(null, undefined, {}));
    const withHeld = await counts(server);
    assert.strictEqual(withHeld.get('object WebSocket') - (after.get('object WebSocket') || 0), held.length);
  });
}

async function comeAndGo(server, options, count) {
  const ways = Object.keys(ENDS);
  let at = 0;
  const go = async () => {
    while (at < count) await visit(server, options, ways[at++ % ways.length]);
  };
  await Promise.all(Array.from({ length: AT_ONCE }, go));
}

// The functions that get the servers' ends, by the keys of the clients.
const meeting = new Map();

async function visit(server, options, way) {
  const client = new WebSocket(`ws://127.0.0.1:${server.address().port}`, options);
  client.on('error', () => {});
  const key = client._req.getHeader('sec-websocket-key');
  const websocket = await within('the connection', new Promise((resolve) => meeting.set(key, resolve)), 60_000);
  meeting.delete(key);
  if (client.readyState !== WebSocket.OPEN) await event(client, 'open');
  const echo = event(client, 'message');
  client.send('a text', () => {});
  await echo;
  ENDS[way](client, websocket);
  await within(`the end by ${way}`, Promise.all([whenClosed(client), whenClosed(websocket)]));
}

// How many objects and functions there are, by their names.
async function counts(server) {
  assert.strictEqual(server.clients.size, 0);
  v8.setFlagsFromString('--expose-gc');
  const collect = vm.runInNewContext('gc');
  // Memory of finalizers is free only behind the next turn of the loop.
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve));
  }
  // By events: Node 18 does not end the stream for `for await`.
  const chunks = [];
  const stream = v8.getHeapSnapshot();
  stream.on('data', (chunk) => chunks.push(Buffer.from(chunk)));
  await within('the snapshot', new Promise((resolve) => stream.on('end', resolve)), 60_000);
  const { snapshot, nodes, strings } = JSON.parse(Buffer.concat(chunks).toString());
  const { node_fields: fields, node_types: [kinds] } = snapshot.meta;
  const found = new Map();
  for (let at = 0; at < nodes.length; at += fields.length) {
    const kind = kinds[nodes[at]];
    if (kind !== 'object' && kind !== 'closure') continue;
    const name = `${kind} ${strings[nodes[at + 1]]}`;
    found.set(name, (found.get(name) || 0) + 1);
  }
  return found;
}
