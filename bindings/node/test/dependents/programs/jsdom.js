'use strict';

// jsdom: the WebSocket of a page, which jsdom has from ws, against a server.

const { once } = require('node:events');
const { JSDOM } = require('jsdom');
const { WebSocketServer } = require('ws');

async function main() {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (websocket, request) => {
    console.log('origin', request.headers.origin, 'protocol', websocket.protocol);
    websocket.on('message', (data, isBinary) => (String(data) === 'close' ? websocket.close(4001, 'asked') : websocket.send(data, { binary: isBinary })));
  });
  await once(server, 'listening');
  const { window } = new JSDOM(`<script>
    const log = [];
    const socket = new WebSocket('ws://127.0.0.1:${server.address().port}', ['a', 'b']);
    socket.binaryType = 'arraybuffer';
    socket.onopen = () => { log.push('open ' + socket.protocol); socket.send('text'); socket.send(new Uint8Array([1, 2, 3])); socket.send('close'); };
    socket.onmessage = (event) => log.push(typeof event.data === 'string' ? event.data : 'bytes ' + event.data.byteLength);
    socket.onerror = () => log.push('error');
    socket.onclose = (event) => { log.push('close ' + event.code + ' ' + event.reason + ' ' + event.wasClean); done(log); };
  </script>`, {
    url: 'http://example.com/', runScripts: 'dangerously',
    beforeParse: (page) => { page.done = (log) => page.dispatchEvent(new page.CustomEvent('done', { detail: log })); }
  });
  const [{ detail }] = await once(window, 'done');
  console.log([...detail].join('\n'));
  window.close();
  server.close();
}

main();
