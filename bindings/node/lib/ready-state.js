'use strict';

// Ready states: the four states of a WebSocket (https://websockets.spec.whatwg.org/#dom-websocket-readystate).

const NAMES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
const [CONNECTING, OPEN, CLOSING, CLOSED] = NAMES.keys();

module.exports = { CLOSED, CLOSING, CONNECTING, NAMES, OPEN };
