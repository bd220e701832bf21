'use strict';

// Two lanes over a plain TCP connection, without a handshake, and owners that note what they are told.

const net = require('node:net');
const { once } = require('node:events');

const { EMPTY, attach } = require('../../lib/lane');
const { within } = require('./peers');

const SETTINGS = { maxPayload: 0, maxFragments: 0, skipUTF8Validation: false, allowSynchronousEvents: true, deflate: null };

/** An owner of a lane: `events` has what it was told, `on` may be replaced to act on a message. */
class Owner {
  constructor() {
    this.events = [];
    this.waiting = [];
    this.on = () => {};
  }

  note(...event) {
    this.events.push(event);
    const waiting = this.waiting.filter((entry) => !entry.isMet());
    this.waiting.filter((entry) => !waiting.includes(entry)).forEach((entry) => entry.resolve());
    this.waiting = waiting;
  }

  /** Resolves when so many events have come. */
  count(number, what = `${number} events`) {
    const isMet = () => this.events.length >= number;
    if (isMet()) return Promise.resolve();
    return within(what, new Promise((resolve) => this.waiting.push({ isMet, resolve })));
  }

  _onMessage(data, isBinary) {
    this.note('message', isBinary ? Buffer.from(data) : data.toString());
    this.on(data, isBinary);
  }

  _onPing(data) { this.note('ping', data.toString()); }
  _onPong(data) { this.note('pong', data.toString()); }
  _onCloseFrame(code, reason) { this.note('close', code, reason.toString()); }
  _onViolation(kind, value) { this.note('violation', kind, value); }
  _onDrain() {}
}

/** Both sockets of a connection: the server's first. */
async function sockets(t, options) {
  const server = net.createServer({ allowHalfOpen: true });
  server.listen(0, '127.0.0.1');
  await within('the server to listen', once(server, 'listening'));
  const client = net.connect({ port: server.address().port, host: '127.0.0.1', ...options });
  const [accepted] = await within('a connection', once(server, 'connection'));
  if (client.connecting) await within('the client to connect', once(client, 'connect'));
  for (const socket of [accepted, client]) socket.on('error', () => {});
  t.after(() => {
    client.destroy();
    accepted.destroy();
    server.close();
  });
  return [accepted, client];
}

/** A lane with its owner and its socket. */
function open(socket, isServer, settings) {
  const owner = new Owner();
  const lane = attach(socket, EMPTY, owner, { ...SETTINGS, isServer, ...settings });
  socket.once('close', () => lane.end(() => lane.detach(() => new Error('the socket is closed'))));
  return { lane, owner, socket };
}

/** Both ends: the server's first. */
async function pair(t, settings) {
  const [accepted, client] = await sockets(t);
  return [open(accepted, true, settings), open(client, false, settings)];
}

module.exports = { Owner, open, pair, sockets };
