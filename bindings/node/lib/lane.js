// The lane of a connection: it takes a socket over after the handshake, reads frames from it and writes frames to it.
//
//   const lane = attach(socket, head, owner, settings);
//
// `head` are bytes that came behind the handshake; they are delivered later, not by this call. `settings`:
//   isServer, maxPayload (0: no limit), maxFragments (0: no limit), skipUTF8Validation, allowSynchronousEvents, generateMask,
//   deflate: null or { serverNoContextTakeover, clientNoContextTakeover, serverMaxWindowBits, clientMaxWindowBits,
//                      threshold, level, memLevel }
//
// The owner has these methods, which are called in the async scope of the socket; callbacks may be called in another:
//   _onMessage(data, isBinary)     _onPing(data)     _onPong(data)
//   _onCloseFrame(code, reason)    code 1005 if the frame had none
//   _onViolation(kind, value)      numbers of lib/violation.js
// Payloads are Buffers, views of what was read; an empty one is `EMPTY`. After a close frame or a violation nothing is
// delivered. The socket's 'close', 'end', 'error' and 'finish' are the owner's.
//
// A lane has:
//   send(data, isBinary, options, cb)   data: Buffer or string; options: null or { compress, fin, mask }
//   control(opcode, payload, options, cb)   8, 9 or 10; payload: a whole Buffer; options: null or { mask }
//   raw(list, cb)        frames that are encoded already
//   pause() resume()     reading
//   buffered             bytes of messages that are being compressed, and of all that wait behind them
//   received             bytes of the unfinished message that have come
//   flush()              writes what waits, now
//   end(cb)              for the socket's 'close': delivers what Node still holds and what waits, then calls cb
//   detach(toError)      the socket is Node's again; callbacks that wait get the error that the function makes
//   kind                 'fd' or 'stream'
// Frames are written in the order of the calls. A callback is called, in order, once its frame was passed to the kernel or the
// socket failed. Where a handler is running, or for all but the first frame of a tick, frames are written together at the end of
// the tick.
'use strict';

const hub = require('./hub');
const { FdLane, suits } = require('./fd-lane');
const { StreamLane } = require('./stream-lane');

/** Takes a socket over. */
function attach(socket, head, owner, settings) {
  const Lane = suits(socket) && hub.start() ? FdLane : StreamLane;
  return new Lane(socket, head, owner, settings);
}

module.exports = { attach, EMPTY: hub.EMPTY };
