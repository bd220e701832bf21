// Clients of `ws` and of Python's `websockets` in one room of `ropeway serve`. PYTHON names an interpreter that has it.

import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { before, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import WebSocket from 'ws';
import { DEADLINE, run, serve } from './ropeway.mjs';

const PARTICIPANT = fileURLToPath(new URL('participant.py', import.meta.url));
let server;

before(async () => { server = await serve(); });

// A participant in Python. It prints a line when it has joined and one for each message, and sends each text given to `say`.
async function pythonIn(url) {
  const child = run(process.env.PYTHON ?? 'python3', [PARTICIPANT, url], { stdio: ['pipe', 'pipe', 'inherit'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const hear = async () => (await lines.next()).value;
  assert.equal(await hear(), 'here');
  return {
    hear,
    say: (message) => child.stdin.write(`${message}\n`),
    leave: async () => { child.stdin.end(); await once(child, 'exit'); },
  };
}

async function wsIn(url) {
  const ws = new WebSocket(url);
  const messages = [];
  const waiting = [];
  ws.on('message', (data) => (waiting.length ? waiting.shift()(data.toString()) : messages.push(data.toString())));
  await once(ws, 'open');
  return {
    hear: () => (messages.length ? messages.shift() : new Promise((resolve) => waiting.push(resolve))),
    say: (message) => ws.send(message),
    leave: async () => { ws.close(); await once(ws, 'close'); },
  };
}

test('in a broadcast everyone hears everyone, whatever they are written in', { timeout: DEADLINE }, async () => {
  const url = server.ws('/broadcast');
  const room = await Promise.all([pythonIn(url), wsIn(url), pythonIn(url), wsIn(url)]);
  for (const [number, speaker] of room.entries()) {
    speaker.say(`number ${number} speaks 🚡`);
    for (const listener of room) assert.equal(await listener.hear(), `number ${number} speaks 🚡`);
  }
  await Promise.all(room.map((participant) => participant.leave()));
});
