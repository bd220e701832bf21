// The entry for `import`: the names that npm's `ws` exports there.

import ropeway from './index.js';

export const {
  createWebSocketStream, extension, PerMessageDeflate, Receiver, Sender, subprotocol, WebSocket, WebSocketServer
} = ropeway;

export default ropeway;
