'use strict';

// Keepalive: pings a silent peer, and terminates the connection if no answer comes. npm's `ws` has no such option.

const { EMPTY } = require('./lane');
const { PING } = require('./opcode');
const { OPEN } = require('./ready-state');

// ```text
//            silent for `interval`: ping
//   HEARD ───────────────────────────────► ASKED ── silent for `timeout` ──► terminate, 'close' with 1006
//     ▲                                      │
//     └── a frame, or a part of a message ───┘
// ```
class Keepalive {
  /**
   * @param {import('./wire')} wire
   * @param {{ interval: number, timeout?: number }} options Milliseconds; the timeout is as long as the interval if it is left out.
   */
  constructor(wire, { interval, timeout = interval }) {
    this.wire = wire;
    this.interval = interval;
    this.timeout = timeout;
    this.hasHeard = false;
    // The bytes of the unfinished message at the last look. If they have grown, the peer is alive.
    this.received = 0;
    this.isAsking = false;
    this.timer = null;
    this.wait(interval);
  }

  /** Something came from the peer. */
  heard() {
    this.hasHeard = true;
    if (!this.isAsking) return;
    this.isAsking = false;
    this.wait(this.interval);
  }

  stop() {
    clearTimeout(this.timer);
  }

  wait(milliseconds) {
    clearTimeout(this.timer);
    this.hasHeard = false;
    this.timer = setTimeout(() => this.tick(), milliseconds);
    // The socket keeps the process alive, if it should be.
    this.timer.unref();
  }

  tick() {
    const { lane, websocket } = this.wire;
    if (websocket._readyState !== OPEN) return;
    const { received } = lane;
    const isReceiving = received !== this.received;
    this.received = received;
    // A paused program hears nothing, and its peer is not to blame for it.
    if (this.hasHeard || isReceiving || websocket._paused) {
      this.isAsking = false;
      this.wait(this.interval);
    } else if (this.isAsking) {
      websocket.terminate();
    } else {
      this.isAsking = true;
      this.wire.control(PING, EMPTY);
      this.wait(this.timeout);
    }
  }
}

module.exports = { Keepalive };
