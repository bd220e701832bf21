'use strict';

// Environments: their ends, and their limits. A worker that ends with live sockets harms no other thread.

const assert = require('node:assert');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const net = require('node:net');
const path = require('node:path');
const { test } = require('node:test');
const { Worker } = require('node:worker_threads');

const { within } = require('./support/peers');

/**
 * A worker with lanes over sockets that a child process has, too. The system goes on to tell of these when Node has closed its own
 * descriptors, and the numbers of those are free for other threads.
 */
const PROGRAM = `
  const { spawn } = require('node:child_process');
  const net = require('node:net');
  const { parentPort } = require('node:worker_threads');
  const { open } = require(${JSON.stringify(path.join(__dirname, 'support/lanes'))});
  const sockets = [];
  const server = net.createServer((socket) => {
    open(socket, true).owner._onMessage = () => {};
    sockets.push(socket);
    if (sockets.length < 8) return;
    const child = spawn(process.execPath, ['-e', 'setTimeout(() => {}, 20000)'], { stdio: ['ignore', 'ignore', 'ignore', ...sockets] });
    child.once('spawn', () => parentPort.postMessage({ child: child.pid }));
    // Node has stopped to read what it has passed on. Here the lanes go on.
    for (const each of sockets) {
      each._handle.reading = true;
      each.resume();
    }
  });
  server.listen(0, '127.0.0.1', () => parentPort.postMessage({ port: server.address().port }));
  parentPort.on('message', (shared) => {
    // It reads nothing more, until the other thread says that bytes wait.
    parentPort.postMessage('still');
    Atomics.wait(new Int32Array(shared), 0, 0, 5000);
    process.exit();
  });
`;

/** The beginning of a message of 1 GiB with an empty key. The rest of such a message is read into its own memory. */
const BEGINNING = Buffer.concat([Buffer.from([0x82, 0xff, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0]), Buffer.alloc(40000)]);

test('a worker that ends reads nothing from descriptors that are another thread\'s by then', { timeout: 120000 }, async (t) => {
  // The sockets of this thread, whose bytes must all come.
  const server = net.createServer((socket) => {
    let received = 0;
    socket.on('data', (data) => { received += data.length; });
    socket.on('end', () => socket.end(`${received}`));
  });
  server.listen(0, '127.0.0.1');
  await within('the server to listen', once(server, 'listening'));
  t.after(() => server.close());
  const { port } = server.address();
  const speak = () => new Promise((resolve, reject) => {
    const client = net.connect({ port, host: '127.0.0.1', allowHalfOpen: true });
    const answer = [];
    client.on('data', (data) => answer.push(data));
    client.on('end', () => resolve(Buffer.concat(answer).toString()));
    client.on('error', reject);
    client.end(Buffer.alloc(1000));
  });

  for (let round = 0; round < 5; round++) {
    const worker = new Worker(PROGRAM, { eval: true });
    const [message] = await within('the worker\'s port', once(worker, 'message'));
    const clients = Array.from({ length: 8 }, () => net.connect(message.port, '127.0.0.1').on('error', () => {}));
    for (const client of clients) client.write(BEGINNING);
    const [{ child }] = await within('the child process', once(worker, 'message'));
    try {
      const ended = once(worker, 'exit');
      const answers = [];
      let isOver = false;
      ended.then(() => { isOver = true; });
      const shared = new SharedArrayBuffer(4);
      const still = once(worker, 'message');
      worker.postMessage(shared);
      await within('the worker to stand still', still);
      const written = clients.map((client) => new Promise((resolve) => client.write(Buffer.alloc(1000), resolve)));
      await within('the bytes to be written', Promise.all(written));
      Atomics.store(new Int32Array(shared), 0, 1);
      Atomics.notify(new Int32Array(shared), 0);
      while (!isOver) {
        for (let i = 0; i < 10; i++) answers.push(within('an answer', speak()));
        await new Promise(setImmediate);
      }
      await within('the worker to end', ended);
      assert.deepStrictEqual([...new Set(await Promise.all(answers))], ['1000'], `round ${round}`);
    } finally {
      process.kill(child);
      for (const client of clients) client.destroy();
    }
  }
});

/** Runs a command to its end, and returns its exit code and all that it printed. */
async function run(command, args, options) {
  const child = spawn(command, args, { ...options, stdio: ['ignore', 'pipe', 'pipe'] });
  try {
    const printed = [];
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => printed.push(data));
    const [code] = await within('the program to end', once(child, 'close'), 60000);
    return { code, printed: Buffer.concat(printed).toString() };
  } finally {
    child.kill();
  }
}

test('without a descriptor for the poller a socket has the stream lane, and the next one that of its platform', {
  skip: process.platform === 'win32'
}, async () => {
  const program = `
    const fs = require('node:fs');
    const ends = [];
    const t = { after: (end) => ends.push(end) };
    (async () => {
      const { open, pair, sockets } = require(${JSON.stringify(path.join(__dirname, 'support/lanes'))});
      const plain = await sockets(t);
      const taken = [];
      let code;
      // Node itself closes a few descriptors in later turns.
      for (let turn = 0; turn < 100; turn++) {
        try {
          for (;;) taken.push(fs.openSync('/dev/null'));
        } catch (error) {
          code = error.code;
        }
        if (turn < 99) await new Promise((resolve) => setTimeout(resolve, 1));
      }
      console.log(code);
      const [server, client] = [open(plain[0], true), open(plain[1], false)];
      console.log(server.lane.kind, client.lane.kind);
      client.lane.send('without', false, null);
      await server.owner.count(1);
      for (const descriptor of taken) fs.closeSync(descriptor);
      const [next, peer] = await pair(t);
      console.log(next.lane.kind);
      peer.lane.send('with', false, null);
      await next.owner.count(1);
      console.log(server.owner.events[0][1], next.owner.events[0][1]);
      for (const end of ends) end();
    })();
  `;
  const { code, printed } = await run('sh', ['-c', 'ulimit -n 100; exec "$0" -e "$1"', process.execPath, program]);
  const isStream = process.platform !== 'linux' || process.env.ROPEWAY_LANE === 'stream';
  assert.deepStrictEqual({ code, printed }, {
    code: 0, printed: `EMFILE\nstream stream\n${isStream ? 'stream' : 'fd'}\nwithout with\n`
  });
});

test('where Node allows no addons, the error says how to allow them', async () => {
  const index = path.join(__dirname, '..');
  const program = `try { require(${JSON.stringify(index)}); } catch (error) { console.log(error.code + ': ' + error.message); }`;
  const flags = [['--no-addons']];
  const permission = ['--permission', '--experimental-permission'].find((flag) => process.allowedNodeEnvironmentFlags.has(flag));
  if (permission) flags.push([permission, '--allow-fs-read=*']);
  for (const flag of flags) {
    const { code, printed } = await run(process.execPath, [...flag, '-e', program]);
    assert.strictEqual(code, 0);
    assert.match(printed, /ERR_ROPEWAY_BROKEN_BINARY: .*--no-addons.*--allow-addons/, `${flag}: ${printed}`);
  }
});
