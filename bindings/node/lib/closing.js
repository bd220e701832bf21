'use strict';

// Closing: both close frames, the timer behind them, and how a connection ended.

const { EMPTY } = require('./lane');
const { CLOSE, LONGEST_CONTROL } = require('./opcode');
const { CLOSING, OPEN } = require('./ready-state');
const { kStatusCode, toError } = require('./violation');

// The socket goes down when our close frame is written and nothing more will be read. Either may come first, so the state is a set:
//
// ```text
//                     our frame is written
//        0 ─────────────────────────────────────────► SENT
//        │                                              │
//        │ the peer's frame came: RECEIVED              │ the peer's frame came, or it broke a rule
//        │ the peer broke a rule: BROKEN, 'error'       │
//        ▼                                              ▼
//   RECEIVED or BROKEN ───── our frame is written ────► SENT and one of them: the socket is ended
//
//   from anywhere ──── the socket is closed: GONE ────► 'close', once all that was received is delivered
// ```
//
// SENT and RECEIVED together are a clean end.
const SENT = 1;
const RECEIVED = 2;
const BROKEN = 4;
const GONE = 8;

// A WebSocket and its socket have their wire under this symbol.
const kWire = Symbol('wire');

// The code takes two bytes of the payload (RFC 6455 section 5.5.1).
const LONGEST_REASON = LONGEST_CONTROL - 2;

/**
 * The payload of a close frame (RFC 6455 section 5.5.1).
 *
 * @param {number} [code]
 * @param {string|Uint8Array} [reason] Ignored without a code.
 * @returns {Buffer} Memory of its own.
 * @throws {TypeError|RangeError} If the code may not be sent, or the reason is too long or of another type.
 */
function closePayload(code, reason) {
  if (code === undefined) return EMPTY;
  if (typeof code !== 'number' || !isCloseCode(code)) {
    throw new TypeError('First argument must be a valid error code number');
  }
  const isReason = reason !== undefined && reason !== null && reason.length > 0;
  if (isReason && typeof reason !== 'string' && !(reason instanceof Uint8Array)) {
    throw new TypeError('Second argument must be a string or a Uint8Array');
  }
  const length = isReason ? Buffer.byteLength(reason) : 0;
  if (length > LONGEST_REASON) throw new RangeError(`The message must not be greater than ${LONGEST_REASON} bytes`);

  const payload = Buffer.alloc(2 + length);
  payload.writeUInt16BE(code);
  if (typeof reason === 'string') payload.write(reason, 2);
  else if (isReason) payload.set(reason, 2);
  return payload;
}

/**
 * Begins the closing handshake, or answers the peer's.
 *
 * @param {import('./wire')} wire Its WebSocket is OPEN.
 * @param {Buffer} payload What `closePayload` returned.
 */
function begin(wire, payload) {
  wire.websocket._readyState = CLOSING;
  wire.control(CLOSE, payload, undefined, (error) => {
    if (!error) advance(wire, SENT);
  });
  startTimer(wire);
}

/**
 * Ends the socket, if all is done.
 *
 * @param {import('./wire')} wire
 * @param {number} [step] What has happened now.
 */
function advance(wire, step = 0) {
  wire.closing |= step;
  if (wire.closing & SENT && wire.closing & (RECEIVED | BROKEN)) endSocket(wire);
}

/**
 * The peer's close frame came.
 *
 * @param {import('./wire')} wire
 * @param {number} code 1005 if the frame has none.
 * @param {Buffer} reason
 */
function received(wire, code, reason) {
  const { websocket } = wire;
  websocket._closeCode = code;
  websocket._closeMessage = reason;
  advance(wire, RECEIVED);
  if (wire.closing & GONE) return;
  readOn(wire);
  if (websocket._readyState === OPEN) begin(wire, closePayload(code === 1005 ? undefined : code, reason));
}

/**
 * The peer broke a rule. The code that we send is not the one that the program sees: for it no close frame came, which is 1006.
 *
 * @param {import('./wire')} wire
 * @param {number} kind
 * @param {number} value
 */
function violated(wire, kind, value) {
  const error = toError(kind, value);
  const { websocket } = wire;
  advance(wire, BROKEN);
  if (!(wire.closing & GONE)) {
    readOn(wire);
    if (websocket._readyState === OPEN) begin(wire, closePayload(error[kStatusCode]));
  }
  emitError(wire, error);
}

/**
 * Data that was to be sent cannot be read. The peer cannot be told: its message may be half sent.
 *
 * @param {import('./wire')} wire
 * @param {Error} error
 */
function sendFailed(wire, error) {
  const { websocket } = wire;
  if (websocket._readyState !== OPEN && websocket._readyState !== CLOSING) return;
  if (websocket._readyState === OPEN) {
    websocket._readyState = CLOSING;
    startTimer(wire);
  }
  endSocket(wire);
  emitError(wire, error);
}

/** Whether our close frame is written. */
function isSent(wire) {
  return (wire.closing & SENT) !== 0;
}

/** Whether the peer's close frame came. */
function isReceived(wire) {
  return (wire.closing & RECEIVED) !== 0;
}

/**
 * Follows what happens to the socket.
 *
 * @param {import('./wire')} wire
 */
function watch(wire) {
  const { socket } = wire;
  socket[kWire] = wire;
  socket.on('close', onClose);
  socket.on('end', onEnd);
  socket.on('error', onError);
}

function onClose() {
  const wire = this[kWire];
  const { lane, websocket } = wire;
  this.removeListener('close', onClose);
  this.removeListener('end', onEnd);
  websocket._readyState = CLOSING;
  wire.closing |= GONE;
  clearTimeout(websocket._closeTimer);
  // Messages that were received before the end are still delivered.
  lane.end(() => {
    lane.detach(notWritten);
    websocket.emitClose();
  });
}

function notWritten() {
  const error = new Error('The socket was closed before the data was written');
  error.code = 'ERR_STREAM_DESTROYED';
  return error;
}

// The peer sends no more. Without its close frame this is the end of the connection all the same.
function onEnd() {
  const wire = this[kWire];
  wire.websocket._readyState = CLOSING;
  endSocket(wire);
}

// Errors of the socket are no errors of the WebSocket: they only show in the code 1006.
function onError() {
  this[kWire].websocket._readyState = CLOSING;
  this.destroy();
}

function endSocket(wire) {
  wire.lane.flush();
  wire.socket.end();
}

// Nothing more is delivered, but the end of the stream has to be seen, even if the program has paused.
function readOn(wire) {
  process.nextTick(resume, wire.lane);
}

function resume(lane) {
  lane.resume();
}

function startTimer(wire) {
  const { socket, websocket } = wire;
  websocket._closeTimer = setTimeout(() => socket.destroy(), websocket._closeTimeout);
}

function emitError({ websocket }, error) {
  if (websocket._errorEmitted) return;
  websocket._errorEmitted = true;
  websocket.emit('error', error);
}

// RFC 6455 section 7.4, and the registry of its section 11.7: 1012 to 1014 came later.
function isCloseCode(code) {
  return (
    (code >= 1000 && code <= 1014 && code !== 1004 && code !== 1005 && code !== 1006) || (code >= 3000 && code <= 4999)
  );
}

module.exports = { advance, begin, closePayload, isReceived, isSent, kWire, received, sendFailed, violated, watch };
