'use strict';

// Lanes over plain TCP sockets: order and content with slow readers, with handlers that throw, when a lane changes, and when the
// environment ends.

const assert = require('node:assert');
const { AsyncLocalStorage } = require('node:async_hooks');
const { spawn } = require('node:child_process');
const { once } = require('node:events');
const path = require('node:path');
const { test } = require('node:test');
const { Worker } = require('node:worker_threads');

const { Inbound } = require('../lib/inbound');
const { open, pair, sockets } = require('./support/lanes');
const { within } = require('./support/peers');

const hasDescriptors = process.platform === 'linux' && process.env.ROPEWAY_LANE !== 'stream';

/** A test of the lane that has a descriptor. */
const testDescriptor = hasDescriptors ? test : () => {};

/** Runs a program with `open`, `pair` and the like in scope, and returns its output and exit code. */
async function run(program, env = {}) {
  const prelude = `
    const net = require('node:net');
    const { EMPTY, attach } = require(${JSON.stringify(path.join(__dirname, '../lib/lane'))});
    const { Owner, open } = require(${JSON.stringify(path.join(__dirname, 'support/lanes'))});
    const ends = (then) => {
      const server = net.createServer((accepted) => then(accepted, client, server));
      let client;
      server.listen(0, '127.0.0.1', () => { client = net.connect(server.address().port, '127.0.0.1'); });
    };
  `;
  const child = spawn(process.execPath, ['-e', prelude + program], { env: { ...process.env, ...env } });
  const output = [];
  child.stdout.on('data', (chunk) => output.push(chunk));
  child.stderr.on('data', (chunk) => output.push(chunk));
  try {
    const [code] = await within('the program to end', once(child, 'close'));
    return { output: Buffer.concat(output).toString(), code };
  } finally {
    child.kill();
  }
}

test('messages of all lengths come whole and in order, and each callback after its message is written', async (t) => {
  const [server, client] = await pair(t);
  const lengths = [0, 1, 125, 126, 65535, 65536, 3, 1 << 20, 7, 300000, 0];
  const called = [];
  lengths.forEach((length, index) => client.lane.send(Buffer.alloc(length, index), true, null, (error) => called.push(error || index)));
  client.lane.control(9, Buffer.from('ping'), null, () => called.push('ping'));
  await server.owner.count(lengths.length + 1, 'all messages');
  server.owner.events.slice(0, -1).forEach(([kind, data], index) => {
    assert.strictEqual(kind, 'message');
    assert.ok(data.equals(Buffer.alloc(lengths[index], index)), `message ${index}`);
  });
  assert.deepStrictEqual(server.owner.events.at(-1), ['ping', 'ping']);
  assert.deepStrictEqual(called, [...lengths.keys(), 'ping']);
});

test('a slow reader gets all in order, and the callbacks tell when', async (t) => {
  const [server, client] = await pair(t);
  const called = [];
  server.lane.pause();
  for (let i = 0; i < 400; i++) client.lane.send(Buffer.alloc(30000 + i, i), true, null, () => called.push(i));
  await new Promise(setImmediate);
  assert.ok(client.socket.writableLength > 0, 'the kernel did not take all');
  assert.ok(called.length < 400, 'not all callbacks were called');
  assert.strictEqual(server.owner.events.length, 0);
  server.lane.resume();
  await server.owner.count(400, 'all messages');
  server.owner.events.forEach(([, data], i) => assert.ok(data.equals(Buffer.alloc(30000 + i, i)), `message ${i}`));
  assert.deepStrictEqual(called, [...Array(400).keys()]);
});

testDescriptor('a lane that becomes a stream lane in the middle loses and reorders nothing', async (t) => {
  const [server, client] = await pair(t);
  assert.strictEqual(server.lane.kind, 'fd');
  const raw = [];
  let count = 0;
  server.owner.on = () => {
    if (++count === 500) server.socket.on('data', (chunk) => raw.push(chunk.length));
    server.lane.send(`answer ${count}`, false, null);
  };
  for (let round = 0; round < 20; round++) {
    for (let i = 0; i < 100; i++) client.lane.send(`${round * 100 + i}`, false, null);
    await server.owner.count(100 * (round + 1), `round ${round}`);
  }
  await client.owner.count(2000, 'all answers');
  assert.strictEqual(server.lane.kind, 'stream');
  assert.ok(raw.length > 0, 'the other listener gets bytes');
  assert.deepStrictEqual(server.owner.events, [...Array(2000).keys()].map((i) => ['message', `${i}`]));
  assert.deepStrictEqual(client.owner.events, [...Array(2000).keys()].map((i) => ['message', `answer ${i + 1}`]));
});

test('a chunk may have more messages than the table has rows, and a handler may feed another connection', () => {
  const settings = { isServer: false, maxPayload: 0, maxFragments: 0 };
  const counts = [0, 0, 0];
  const inbounds = counts.map((_, index) => new Inbound({
    _onMessage() {
      counts[index]++;
      if (index < 2) inbounds[index + 1].feed(Buffer.from('8100', 'hex'));
    }
  }, settings));
  inbounds[0].feed(Buffer.alloc(2 * 100000, Buffer.from('8100', 'hex')));
  assert.deepStrictEqual(counts, [100000, 100000, 100000]);
  inbounds.forEach((inbound) => inbound.free());
});

test('bytesRead and bytesWritten count what the lane does, as long as the socket lives and behind that', async (t) => {
  const [server, client] = await pair(t);
  client.lane.send(Buffer.alloc(1000), true, null);
  client.lane.send(Buffer.alloc(100000), true, null);
  await server.owner.count(2);
  // Headers of 8 and 14 bytes, masks included.
  const bytes = 1008 + 100014;
  assert.deepStrictEqual([server.socket.bytesRead, client.socket.bytesWritten], [bytes, bytes]);
  server.lane.send(Buffer.alloc(70000), true, null);
  await client.owner.count(1);
  assert.deepStrictEqual([client.socket.bytesRead, server.socket.bytesWritten], [70010, 70010]);
  client.lane.detach(() => new Error('enough'));
  assert.deepStrictEqual([client.socket.bytesRead, client.socket.bytesWritten], [70010, bytes]);
  server.socket.destroy();
  assert.deepStrictEqual([server.socket.bytesRead, server.socket.bytesWritten], [bytes, 70010]);
});

test('frames go before what others write to the socket', async (t) => {
  const [accepted, peer] = await sockets(t);
  const { lane } = open(accepted, true);
  const chunks = [];
  const all = within('all bytes', new Promise((resolve) => {
    peer.on('data', (chunk) => {
      chunks.push(chunk);
      if (Buffer.concat(chunks).length === 13) resolve();
    });
  }));
  lane.send('a', false, null);
  lane.send('b', false, null);
  accepted.write('raw');
  lane.raw([Buffer.from('8901', 'hex'), Buffer.from('x')]);
  accepted.end('!');
  await all;
  assert.strictEqual(Buffer.concat(chunks).toString('latin1'), '\x81\x01a\x81\x01braw\x89\x01x!');
});

test('a handler that throws loses nothing: the others are called, of its connection and of others', async () => {
  for (const lane of ['fd', 'stream']) {
    const { output, code } = await run(`
      process.on('uncaughtException', (error) => console.log(error.message));
      let got = '';
      ends((accepted, client, server) => {
        const { owner } = open(accepted, true);
        owner.on = (data) => {
          got += data;
          if (data.toString() === '2' || data.toString() === '3') throw new Error('thrown at ' + data);
          if (data.toString() === '5') { console.log(got); client.destroy(); accepted.destroy(); server.close(); }
        };
        const peer = open(client, false);
        for (const text of '12345') peer.lane.send(text, false, null);
      });
    `, { ROPEWAY_LANE: lane });
    assert.strictEqual(output, 'thrown at 2\nthrown at 3\n12345\n', lane);
    assert.strictEqual(code, 0);
  }
});

test('a socket that is unref\'d does not keep the process, and one that is not does', async () => {
  const unref = await run(`
    ends((accepted, client, server) => {
      const lanes = [open(accepted, true), open(client, false)];
      lanes[1].owner.on = () => { accepted.unref(); client.unref(); server.unref(); console.log('unref'); };
      lanes[0].lane.send('go', false, null);
    });
    process.on('exit', () => console.log('exit'));
  `);
  assert.deepStrictEqual(unref, { output: 'unref\nexit\n', code: 0 });
  const ref = await run(`
    ends((accepted, client, server) => {
      const lanes = [open(accepted, true), open(client, false)];
      lanes[1].owner.on = () => setImmediate(() => setImmediate(() => { console.log('still here'); client.destroy(); accepted.destroy(); }));
      server.close();
      setImmediate(() => lanes[0].lane.send('go', false, null));
    });
  `);
  assert.deepStrictEqual(ref, { output: 'still here\n', code: 0 });
});

test('frames that were sent in the last tick are written before the process ends', async () => {
  const { output } = await run(`
    const { spawn } = require('node:child_process');
    if (process.env.PORT) {
      const client = net.connect(process.env.PORT, '127.0.0.1', () => {
        const { lane } = open(client, false);
        for (const text of ['a', 'b', 'c']) lane.send(text, false, null);
        process.exit();
      });
    } else {
      const server = net.createServer((accepted) => {
        const { owner } = open(accepted, true);
        accepted.on('close', () => { console.log(owner.events.map((event) => event[1]).join('')); server.close(); });
        accepted.on('end', () => accepted.end());
      });
      server.listen(0, '127.0.0.1', () => {
        spawn(process.execPath, [...process.execArgv, '-e', process._eval], { env: { ...process.env, PORT: server.address().port }, stdio: 'inherit' });
      });
    }
  `);
  assert.strictEqual(output, 'abc\n');
});

// The accepted socket was made by the operating system, in no context.
testDescriptor('the owner is called in the context in which a client\'s lane was attached, and in none for a server\'s', async (t) => {
  const storage = new AsyncLocalStorage();
  const seen = [];
  const ends = [await sockets(t), await sockets(t)].map(([accepted, peer], index) => {
    const [server, client] = [storage.run(`server ${index}`, () => open(accepted, true)), storage.run(`client ${index}`, () => open(peer, false))];
    server.owner.on = (data) => {
      seen.push([`server: ${data}`, storage.getStore()]);
      server.lane.send(data, false, null);
    };
    client.owner.on = (data) => seen.push([`client: ${data}`, storage.getStore()]);
    return client;
  });
  ends.forEach(({ lane }, index) => storage.run('sender', () => lane.send(String(index), false, null)));
  await Promise.all(ends.map(({ owner }) => owner.count(1, 'the answer')));
  assert.deepStrictEqual(seen.sort(), [
    ['client: 0', 'client 0'], ['client: 1', 'client 1'], ['server: 0', undefined], ['server: 1', undefined]
  ]);
});

test('a worker is terminated in the middle of traffic', async () => {
  const program = `
    const { parentPort } = require('node:worker_threads');
    const net = require('node:net');
    const { open } = require(${JSON.stringify(path.join(__dirname, 'support/lanes'))});
    const server = net.createServer((accepted) => {
      const end = open(accepted, true);
      end.owner.on = (data, isBinary) => end.lane.send(data, isBinary, null);
    });
    let count = 0;
    server.listen(0, '127.0.0.1', () => {
      for (let i = 0; i < 10; i++) {
        const client = net.connect(server.address().port, '127.0.0.1', () => {
          const end = open(client, false, { deflate: i % 2 ? { threshold: 0, level: 1, memLevel: 8 } : null });
          end.owner.on = () => {
            end.owner.events.length = 0;
            if (++count === 200) parentPort.postMessage('busy');
            end.lane.send(Buffer.alloc(70000), true, null);
          };
          end.lane.send('go', false, { compress: false });
        });
      }
    });
  `;
  for (let i = 0; i < 5; i++) {
    const worker = new Worker(program, { eval: true });
    await within('the worker to be busy', once(worker, 'message'));
    await within('the worker to end', worker.terminate());
  }
});
