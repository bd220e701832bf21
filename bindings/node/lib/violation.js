'use strict';

// Violation: the error for each rule that a peer can break, and the code of the close frame that tells the peer so.

// An error carries the close code under this symbol.
const kStatusCode = Symbol('status-code');

// By the number of the kind, which is that of src/text.rs. Names, texts and classes are those of npm's `ws`, because programs
// compare them. `n` is the number that the frame had in the wrong place.
const KINDS = [
  null,
  frame('WS_ERR_UNEXPECTED_RSV_2_3', 'RSV2 and RSV3 must be clear'),
  frame('WS_ERR_UNEXPECTED_RSV_1', 'RSV1 must be clear'),
  frame('WS_ERR_INVALID_OPCODE', 'invalid opcode n'),
  frame('WS_ERR_EXPECTED_FIN', 'FIN must be set'),
  frame('WS_ERR_INVALID_CONTROL_PAYLOAD_LENGTH', 'invalid payload length n'),
  frame('WS_ERR_EXPECTED_MASK', 'MASK must be set'),
  frame('WS_ERR_UNEXPECTED_MASK', 'MASK must be clear'),
  frame('WS_ERR_INVALID_CLOSE_CODE', 'invalid status code n'),
  frame('WS_ERR_INVALID_UTF8', 'invalid UTF-8 sequence', 1007, Error),
  {
    code: 'WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH',
    text: 'Unsupported WebSocket frame: payload length > 2^53 - 1',
    status: 1009,
    Class: RangeError
  },
  { code: 'WS_ERR_UNSUPPORTED_MESSAGE_LENGTH', text: 'Max payload size exceeded', status: 1009, Class: RangeError },
  { code: 'WS_ERR_TOO_MANY_BUFFERED_PARTS', text: 'Too many message fragments', status: 1008, Class: RangeError },
  // zlib's name and number of the error: `ws` hands on what zlib throws. Its text depends on the broken bytes; this one does not.
  { code: 'Z_DATA_ERROR', text: 'invalid deflate data', status: 1007, Class: Error, errno: -3 },
  // RFC 6455 section 5.2: "the minimal number of bytes MUST be used to encode the length". `ws` does not check it.
  frame('ROPEWAY_ERR_LENGTH_NOT_MINIMAL', 'payload length is not in its shortest form')
];

const OTHER = { code: 'ROPEWAY_ERR_POLICY', text: 'The connection was closed by policy', status: 1008, Class: RangeError };

const TOO_MANY_CHUNKS = { code: 'WS_ERR_TOO_MANY_BUFFERED_PARTS', text: 'Too many buffered chunks', status: 1008, Class: RangeError };

/**
 * The error that `'error'` is emitted with.
 *
 * @param {number} kind The number of the broken rule.
 * @param {number} value The opcode, length or status code that was wrong; 0 where there is none.
 * @returns {Error} With `code`, and with the close code under `kStatusCode`.
 */
function toError(kind, value) {
  return make(KINDS[kind] || OTHER, value);
}

/** The error of a peer that sends a frame in too many chunks. Only the class Receiver counts them. */
function tooManyChunks() {
  return make(TOO_MANY_CHUNKS, 0);
}

function make({ code, text, status, Class, errno }, value) {
  const error = new Class(text.replace(/ n$/, ` ${value}`));
  error.code = code;
  if (errno !== undefined) error.errno = errno;
  error[kStatusCode] = status;
  return error;
}

function frame(code, text, status = 1002, Class = RangeError) {
  return { code, text: `Invalid WebSocket frame: ${text}`, status, Class };
}

module.exports = { kStatusCode, toError, tooManyChunks };
