'use strict';

// Opcodes: the kinds of frames (RFC 6455 section 5.2), and the limit of those that control the connection.

const CONTINUATION = 0;
const TEXT = 1;
const BINARY = 2;
const CLOSE = 8;
const PING = 9;
const PONG = 10;

// RFC 6455 section 5.5: "All control frames MUST have a payload length of 125 bytes or less".
const LONGEST_CONTROL = 125;

module.exports = { BINARY, CLOSE, CONTINUATION, LONGEST_CONTROL, PING, PONG, TEXT };
