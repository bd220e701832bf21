'use strict';

// rpc-websockets: calls, an error, notifications, events and a namespace.

const { once } = require('node:events');
const { Client, Server } = require('rpc-websockets');

async function main() {
  const server = new Server({ port: 0, host: '127.0.0.1' });
  await once(server, 'listening');
  const { port } = server.wss.address();
  server.register('sum', ([a, b]) => a + b);
  server.register('fail', () => {
    throw new Error('it failed');
  });
  server.event('news');

  const client = new Client(`ws://127.0.0.1:${port}`, { reconnect: false });
  await once(client, 'open');
  console.log('sum', await client.call('sum', [1, 2]));
  console.log('many', (await Promise.all(Array.from({ length: 100 }, (_, i) => client.call('sum', [i, i])))).reduce((a, b) => a + b));
  await client.call('fail').catch((error) => console.log('error', error.code, error.message, error.data));
  await client.call('nothing').catch((error) => console.log('error', error.code, error.message));
  console.log('subscribed', JSON.stringify(await client.subscribe('news')));
  const news = once(client, 'news');
  server.emit('news', { text: 'long '.repeat(1000) }, 7);
  const [first] = await news;
  console.log('news', JSON.stringify(first).length);
  const closed = once(client, 'close');
  client.close(1000, 'done');
  console.log('closed', (await closed)[0]);
  await server.close();
}

main();
