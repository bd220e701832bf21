'use strict';

// Two workers behind one port. Each worker answers a message with its process id and the message. The primary tells `{ port }` once
// both listen; on `{ kill }` it kills the worker with that id, and tells `{ killed }` when that has gone.

const cluster = require('node:cluster');

const { WebSocketServer } = require(process.env.ROPEWAY_SUBJECT || '../..');

if (cluster.isPrimary) {
  if (process.argv[2] === 'none') cluster.schedulingPolicy = cluster.SCHED_NONE;
  let listening = 0;
  cluster.on('listening', (worker, { port }) => {
    if (++listening === 2) process.send({ port });
  });
  cluster.on('exit', (worker) => process.connected && process.send({ killed: worker.process.pid }));
  process.on('message', ({ kill }) => {
    Object.values(cluster.workers).find((worker) => worker.process.pid === kill).process.kill('SIGKILL');
  });
  // The test has gone.
  process.on('disconnect', () => process.exit());
  cluster.fork();
  cluster.fork();
} else {
  const server = new WebSocketServer({ port: 0, host: '127.0.0.1' });
  server.on('connection', (websocket) => websocket.on('message', (data) => websocket.send(`${process.pid} ${data}`)));
}
