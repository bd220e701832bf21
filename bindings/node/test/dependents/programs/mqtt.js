'use strict';

// mqtt: a broker over streams, a client that publishes and one that subscribes, with acknowledgements and large payloads.

const { once } = require('node:events');
const { Aedes } = require('aedes');
const mqtt = require('mqtt');
const { WebSocketServer, createWebSocketStream } = require('ws');

async function main() {
  const broker = await Aedes.createBroker();
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1', handleProtocols: (protocols) => [...protocols][0] });
  server.on('connection', (websocket, request) => broker.handle(createWebSocketStream(websocket), request));
  await once(server, 'listening');
  const url = `ws://127.0.0.1:${server.address().port}`;

  const reader = await mqtt.connectAsync(url, { clientId: 'reader' });
  const granted = await reader.subscribeAsync('room/+', { qos: 1 });
  console.log('subscribed', granted[0].topic, granted[0].qos);
  const received = [];
  const all = new Promise((resolve) => reader.on('message', (topic, payload) => {
    received.push(`${topic} ${payload.length} ${payload.subarray(0, 10)}`);
    if (received.length === 4) resolve();
  }));
  const writer = await mqtt.connectAsync(url, { clientId: 'writer' });
  await writer.publishAsync('room/one', 'hello', { qos: 1 });
  await writer.publishAsync('room/two', Buffer.alloc(200000, 'x'), { qos: 1 });
  await writer.publishAsync('elsewhere', 'not for the reader');
  await writer.publishAsync('room/one', '', { qos: 1 });
  await writer.publishAsync('room/one', 'last', { qos: 2 });
  await all;
  console.log(received.join('\n'));
  await writer.endAsync();
  await reader.endAsync();
  await new Promise((resolve) => broker.close(resolve));
  await new Promise((resolve) => server.close(resolve));
  console.log('closed');
}

main();
