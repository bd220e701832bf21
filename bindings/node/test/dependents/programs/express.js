'use strict';

// An Express app with all that the documentation of ws shows: a shared server, several paths, authentication, a heartbeat, broadcasts,
// streams, compression, a round trip, and the same by `import`.

const { once } = require('node:events');
const express = require('express');
const WebSocket = require('ws');

const { WebSocketServer, createWebSocketStream } = WebSocket;

async function main() {
  const app = express();
  app.get('/', (request, response) => response.send('a page'));
  const server = app.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const paths = {
    '/room': room(), '/private': secret(), '/beat': heartbeat(), '/stream': streams(), '/compressed': compressed(), '/echo': echo()
  };
  server.on('upgrade', (request, socket, head) => {
    const onError = (error) => console.log('socket error', error.code);
    socket.on('error', onError);
    const { pathname, searchParams } = new URL(request.url, 'ws://base.url');
    const wss = paths[pathname];
    if (wss === undefined) {
      socket.destroy();
      return;
    }
    // Some time later, as where a database is asked.
    setTimeout(() => {
      const user = searchParams.get('user');
      if (pathname === '/private' && user !== 'ann') {
        socket.write('HTTP/1.1 401 Unauthorized\r\n\r\n');
        socket.destroy();
        return;
      }
      socket.removeListener('error', onError);
      wss.handleUpgrade(request, socket, head, (websocket) => wss.emit('connection', websocket, request, user));
    }, 5);
  });

  const { port } = server.address();
  const url = `ws://127.0.0.1:${port}`;
  console.log(await (await fetch(`http://127.0.0.1:${port}/`)).text());
  await rooms(`${url}/room`);
  await doors(url);
  await beats(`${url}/beat`, paths['/beat']);
  await pipes(`${url}/stream`);
  await squeezes(`${url}/compressed`);
  await trips(`${url}/echo`);
  await modules(`${url}/echo`);

  for (const wss of Object.values(paths)) wss.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
  console.log('closed');
}

// All others get what one says, as it came.
function room() {
  const wss = new WebSocketServer({ noServer: true });
  wss.on('connection', (ws, request) => {
    ws.on('error', console.error);
    ws.on('message', (data, isBinary) => {
      wss.clients.forEach((client) => {
        if (client !== ws && client.readyState === WebSocket.OPEN) client.send(data, { binary: isBinary });
      });
    });
    ws.send(`welcome from ${request.socket.remoteAddress}, ${wss.clients.size} here`);
  });
  return wss;
}

async function rooms(url) {
  const clients = [];
  for (let i = 0; i < 3; i++) {
    const client = new WebSocket(url);
    client.on('error', console.error);
    console.log(String((await once(client, 'message'))[0]));
    clients.push(client);
  }
  for (const data of ['a text', Buffer.from([1, 2, 3]), new Float32Array([0.5, 1])]) {
    const others = [once(clients[1], 'message'), once(clients[2], 'message')];
    clients[0].send(data);
    for (const [message, isBinary] of await Promise.all(others)) console.log(isBinary, message.toString('hex'));
  }
  const closed = clients.map((client) => once(client, 'close'));
  clients[0].close(4001, 'enough');
  clients[1].close();
  clients[2].terminate();
  for (const [code, reason] of await Promise.all(closed)) console.log('closed', code, String(reason));
}

function secret() {
  const wss = new WebSocketServer({ noServer: true });
  wss.on('connection', (ws, request, user) => {
    ws.on('message', (data) => ws.send(`Received message ${data} from user ${user}`));
  });
  return wss;
}

async function doors(url) {
  const ann = new WebSocket(`${url}/private?user=ann`, { headers: { authorization: 'a secret' } });
  await once(ann, 'open');
  ann.send('hello');
  console.log(String((await once(ann, 'message'))[0]));
  ann.close();
  for (const path of ['/private?user=bob', '/nowhere']) {
    const client = new WebSocket(url + path);
    client.on('error', ({ message }) => console.log('error', message));
    console.log('closed', await new Promise((resolve) => client.on('close', resolve)));
  }
}

function heartbeat() {
  const wss = new WebSocketServer({ noServer: true });
  wss.on('connection', (ws) => {
    ws.isAlive = true;
    ws.on('pong', function () {
      this.isAlive = true;
    });
  });
  return wss;
}

async function beats(url, wss) {
  const alive = new WebSocket(url);
  const dead = new WebSocket(url, { autoPong: false });
  await Promise.all([once(alive, 'open'), once(dead, 'open')]);
  const ends = { alive: '', dead: '' };
  const gone = once(dead, 'close');
  dead.on('close', (code) => (ends.dead = code));
  alive.on('close', (code) => (ends.alive = code));
  const look = () => wss.clients.forEach((ws) => {
    if (ws.isAlive === false) return ws.terminate();
    ws.isAlive = false;
    ws.ping();
  });
  look();
  await once(alive, 'ping');
  const pong = once(alive, 'pong');
  alive.ping();
  await pong;
  look();
  await gone;
  console.log('after two heartbeats', ends, wss.clients.size);
  const closed = once(alive, 'close');
  alive.close(1000);
  await closed;
}

function streams() {
  const wss = new WebSocketServer({ noServer: true });
  wss.on('connection', (ws) => {
    const duplex = createWebSocketStream(ws);
    duplex.pipe(duplex);
  });
  return wss;
}

async function pipes(url) {
  const duplex = createWebSocketStream(new WebSocket(url), { encoding: 'utf8' });
  const lines = Array.from({ length: 1000 }, (_, i) => `line ${i}\n`);
  let text = '';
  duplex.on('data', (chunk) => (text += chunk));
  for (const line of lines) if (!duplex.write(line)) await once(duplex, 'drain');
  while (text.length < lines.join('').length) await once(duplex, 'data');
  duplex.end();
  await once(duplex, 'close');
  console.log('streamed', text === lines.join(''), text.length);
}

function compressed() {
  const wss = new WebSocketServer({
    noServer: true,
    perMessageDeflate: {
      zlibDeflateOptions: { chunkSize: 1024, memLevel: 7, level: 3 },
      zlibInflateOptions: { chunkSize: 10 * 1024 },
      clientNoContextTakeover: true,
      serverNoContextTakeover: true,
      serverMaxWindowBits: 10,
      concurrencyLimit: 10,
      threshold: 1024
    }
  });
  wss.on('connection', (ws) => ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary })));
  return wss;
}

async function squeezes(url) {
  for (const perMessageDeflate of [true, false, { clientMaxWindowBits: 9 }]) {
    const client = new WebSocket(url, { perMessageDeflate });
    await once(client, 'open');
    for (const length of [10, 5000, 300000]) {
      client.send('squeezed '.repeat(length / 5));
      const [data] = await once(client, 'message');
      console.log(client.extensions, String(data) === 'squeezed '.repeat(length / 5), data.length);
    }
    client.close();
    await once(client, 'close');
  }
}

function echo() {
  const wss = new WebSocketServer({ noServer: true });
  wss.on('connection', (ws) => ws.on('message', (data, isBinary) => ws.send(data, { binary: isBinary })));
  return wss;
}

async function trips(url) {
  const ws = new WebSocket(url);
  await once(ws, 'open');
  for (let i = 0; i < 3; i++) {
    ws.send(Date.now());
    const [data] = await once(ws, 'message');
    const time = Date.now() - data;
    console.log('a round trip takes some time', time >= 0 && time < 10000);
  }
  ws.onmessage = ({ data, type }) => console.log(type, data);
  ws.onclose = ({ code, wasClean }) => console.log('closed', code, wasClean);
  ws.send('by a property');
  await once(ws, 'message');
  ws.close(1000);
  await once(ws, 'close');
}

async function modules(url) {
  const { default: Default, WebSocket: Named, WebSocketServer: Server, createWebSocketStream: create, ...others } = await import('ws');
  console.log(Default === WebSocket, Named === WebSocket, Server === WebSocketServer, create === createWebSocketStream, Object.keys(others).sort());
  const ws = new Named(url);
  await once(ws, 'open');
  ws.send('by import');
  console.log(String((await once(ws, 'message'))[0]));
  ws.close();
  await once(ws, 'close');
}

main();
