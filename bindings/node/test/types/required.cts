// Types for `require`: the class with all else as its properties.

import WebSocket = require('ropeway');

const server: WebSocket.Server = new WebSocket.Server({ port: 0, perMessageDeflate: { serverMaxWindowBits: false } }, () => {});
const same: WebSocket.WebSocketServer = new WebSocket.WebSocketServer({ noServer: true });
const socket: WebSocket = new WebSocket.WebSocket(null);
const data: WebSocket.RawData = Buffer.alloc(0);

server.on('connection', (websocket, request) => {
  websocket.send(data, { binary: true }, (error) => error?.message);
  request.socket.remoteAddress;
});
WebSocket.createWebSocketStream(socket, { encoding: 'utf8' }).pipe(process.stdout);
WebSocket.subprotocol.parse('a').has('a');
WebSocket.extension.format(WebSocket.extension.parse('a; b=1'));

const deflate = new WebSocket.PerMessageDeflate({ isServer: true, threshold: 10 });
deflate.accept(WebSocket.extension.parse('permessage-deflate')[WebSocket.PerMessageDeflate.extensionName]!);
deflate.compress('text', true, (error, result) => result?.length);
const receiver = new WebSocket.Receiver({ isServer: true, extensions: { 'permessage-deflate': deflate } });
const sender = new WebSocket.Sender(receiver, {}, (mask) => mask.fill(0));
sender.sendFrame(WebSocket.Sender.frame('text', { opcode: 1, fin: true, mask: true }));
sender.close(1000, 'reason', true, () => {});

// @ts-expect-error an option that there is not
new WebSocket.Server({ prot: 1 });
// @ts-expect-error the code is a number
socket.close('1000');
// @ts-expect-error an object is no message
socket.send({});
// @ts-expect-error it is read only
WebSocket.OPEN = 2;

same.close();
