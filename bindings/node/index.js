'use strict';

// The exports of the package: the class WebSocket, with all else as its properties, as in npm's `ws`.

const createWebSocketStream = require('./lib/duplex');
const extension = require('./lib/extension');
const PerMessageDeflate = require('./lib/permessage-deflate');
const Receiver = require('./lib/receiver');
const Sender = require('./lib/sender');
const WebSocketServer = require('./lib/server');
const subprotocol = require('./lib/subprotocol');
const WebSocket = require('./lib/websocket');

module.exports = Object.assign(WebSocket, {
  createWebSocketStream,
  extension,
  PerMessageDeflate,
  Receiver,
  Sender,
  Server: WebSocketServer,
  subprotocol,
  WebSocket,
  WebSocketServer
});
