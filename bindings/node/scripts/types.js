// Makes index.d.mts, the types for `import`, of index.d.ts, those for `require`: the two differ in how things are exported.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const root = path.join(__dirname, '..');

const EXPORTS = `// ECMAScript modules

export import AddressInfo = WebSocket.AddressInfo;
export import BroadcastOptions = WebSocket.BroadcastOptions;
export import CertMeta = WebSocket.CertMeta;
export import ClientOptions = WebSocket.ClientOptions;
export import CloseEvent = WebSocket.CloseEvent;
export import Data = WebSocket.Data;
export import ErrorEvent = WebSocket.ErrorEvent;
export import Event = WebSocket.Event;
export import EventListenerOptions = WebSocket.EventListenerOptions;
export import FinishRequestCallback = WebSocket.FinishRequestCallback;
export import MessageEvent = WebSocket.MessageEvent;
export import PerMessageDeflateOptions = WebSocket.PerMessageDeflateOptions;
export import RawData = WebSocket.RawData;
export import SendOptions = WebSocket.SendOptions;
export import ServerOptions = WebSocket.ServerOptions;
export import VerifyClientCallbackAsync = WebSocket.VerifyClientCallbackAsync;
export import VerifyClientCallbackSync = WebSocket.VerifyClientCallbackSync;

export { type Server };
export const WebSocketServer: typeof Server;
export interface WebSocketServer extends Server {}
export { createWebSocketStream, extension, PerMessageDeflate, Receiver, Sender, subprotocol };
export { WebSocket };
export default WebSocket;
`;

/** The text of index.d.mts. */
function moduleTypes() {
  const [shared] = fs.readFileSync(path.join(root, 'index.d.ts'), 'utf8').split('// CommonJS\n');
  return shared.replace('// index.d.mts is made from this file: node scripts/types.js', '// Made from index.d.ts: node scripts/types.js') + EXPORTS;
}

if (require.main === module) fs.writeFileSync(path.join(root, 'index.d.mts'), moduleTypes());

module.exports = { moduleTypes };
