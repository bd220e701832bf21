'use strict';

// express-ws: routes with parameters, HTTP on the same port, a broadcast, and a path that there is not.

const { once } = require('node:events');
const express = require('express');
const expressWs = require('express-ws');
const { WebSocket } = require('ws');

async function main() {
  const { app, getWss } = expressWs(express());
  app.get('/', (request, response) => response.send('a page'));
  app.ws('/rooms/:room', (websocket, request) => {
    websocket.send(`welcome to ${request.params.room}`);
    websocket.on('message', (text) => getWss().clients.forEach((client) => client.send(`${request.params.room}: ${text}`)));
    websocket.on('close', (code, reason) => console.log('server saw', code, String(reason)));
  });
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address();
  console.log(await (await fetch(`http://127.0.0.1:${port}/`)).text());

  const one = new WebSocket(`ws://127.0.0.1:${port}/rooms/one`);
  console.log(String((await once(one, 'message'))[0]));
  const two = new WebSocket(`ws://127.0.0.1:${port}/rooms/two`);
  console.log(String((await once(two, 'message'))[0]));
  const both = [once(one, 'message'), once(two, 'message')];
  two.send('hello');
  for (const [text] of await Promise.all(both)) console.log(String(text));

  const closed = [once(one, 'close'), once(two, 'close')];
  one.close(4000, 'done');
  await closed[0];
  two.close();
  console.log('client saw', (await closed[1])[0]);

  const lost = new WebSocket(`ws://127.0.0.1:${port}/nowhere`);
  lost.on('error', (error) => console.log('error:', error.message));
  console.log('lost', (await once(lost, 'close'))[0]);
  server.closeAllConnections();
  server.close();
}

main();
