'use strict';

// ropeway beside npm's ws with bufferutil: the same program under the same load, one after the other, several times.
//
//   npm ci && node run.js [--runs N] [--json] [NAME...]
//
// The load comes from `ropeway bench`: ROPEWAY names the program, else it is built now. What counts is how many messages
// the server handles in a second of its processor's time, all its threads together: the kernel counts that in
// /proc/PID/task/*/schedstat, so this runs on Linux. Server and load have a processor each, where there are two and taskset.

const { execFileSync, spawn } = require('node:child_process');
const { once } = require('node:events');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const PEERS = ['ws', 'ropeway'];

// The counts are such that ws takes a few seconds.
const WORKLOADS = {
  'echo-100x20': { say: '100 × 20 B, one at a time', load: ['echo', '-c', '100', '--size', '20', '-n', '300000'] },
  'pipe-100x20x16': { say: '100 × 20 B, 16 in flight', load: ['echo', '-c', '100', '-w', '16', '--size', '20', '-n', '600000'] },
  'echo-500x1k': { say: '500 × 1 KiB', load: ['echo', '-c', '500', '--size', '1024', '-n', '200000'] },
  'echo-4x1m': { say: '4 × 1 MiB', load: ['echo', '-c', '4', '--size', '1048576', '-n', '3000'] },
  'bcast-1000x64': { say: 'to 1,000 × 64 B, `send` in a loop', path: '/loop', load: ['fanout', '-c', '1000', '--size', '64', '-n', '400'] },
  'bcast-1000x64x8': { say: 'the same, 8 in flight', path: '/loop', load: ['fanout', '-c', '1000', '--depth', '8', '--size', '64', '-n', '400'] },
  'deflate-100x1k': { say: 'deflate 100 × 1 KiB', path: '/deflate', load: ['echo', '--deflate', '-c', '100', '--size', '1024', '--text', '-n', '30000'] },
  'deflate-10x64k': { say: 'deflate 10 × 64 KiB', path: '/deflate', load: ['echo', '--deflate', '-c', '10', '--size', '65536', '--text', '-n', '2500'] },
  'tls-20x20': { say: 'TLS, 20 × 20 B, one at a time', tls: true, load: ['echo', '-c', '20', '--size', '20', '-n', '200000'] },
  'tls-20x20x16': { say: 'TLS, 20 × 20 B, 16 in flight', tls: true, load: ['echo', '-c', '20', '-w', '16', '--size', '20', '-n', '800000'] },
  handshakes: { say: 'handshakes', load: ['connect', '-n', '8000'] },
  idle: { say: 'bytes an idle connection, and after an echo of 1 KiB', load: ['idle', '-c', '5000', '-s', '3', '--size', '1024'] }
};

async function main(args) {
  const runs = Number(option(args, '--runs') ?? 5);
  const isJson = args.includes('--json');
  const names = args.filter((arg, at) => !arg.startsWith('--') && args[at - 1] !== '--runs');
  for (const name of names) {
    if (!WORKLOADS[name]) throw new Error(`there is no workload ${name}; there are ${Object.keys(WORKLOADS).join(', ')}`);
  }
  const results = [];
  for (const name of names.length ? names : Object.keys(WORKLOADS)) {
    const figures = Object.fromEntries(PEERS.map((peer) => [peer, []]));
    for (let run = 0; run < runs; run++) {
      for (const peer of PEERS) figures[peer].push(await measured(peer, WORKLOADS[name]));
    }
    results.push({ name, ...figures });
    if (!isJson) console.log(row(WORKLOADS[name], figures, name === 'idle'));
  }
  if (isJson) console.log(JSON.stringify(results));
}

// One run against a fresh server: messages for each second of the server's processor; for idle connections, two counts of bytes.
async function measured(peer, { load, path: at = '/', tls = false }) {
  const server = spawn(...on(0, process.execPath, [path.join(__dirname, 'server.js'), peer, ...(tls ? ['tls'] : [])]),
    { stdio: ['ignore', 'pipe', 'inherit'] });
  try {
    const [port] = await Promise.race([
      once(server.stdout, 'data').then(([text]) => [Number(text)]),
      once(server, 'exit').then(([code]) => { throw new Error(`the server with ${peer} ended with ${code}`); })
    ]);
    const url = `${tls ? 'wss' : 'ws'}://localhost:${port}${at}`;
    const [mode, ...options] = load;
    if (tls) options.push('--insecure');
    if (mode === 'idle') options.push('--pid', String(server.pid));
    const before = cpuOf(server.pid);
    const client = spawn(...on(1, program(), ['bench', mode, ...options, '--json', url]), { stdio: ['ignore', 'pipe', 'inherit'] });
    let printed = '';
    client.stdout.setEncoding('utf8').on('data', (text) => { printed += text; });
    const [code] = await once(client, 'close');
    if (code !== 0) throw new Error(`the load on ${peer} ended with ${code}: ${printed}`);
    const result = JSON.parse(printed);
    if (mode === 'idle') {
      const memory = result.server_memory;
      return [memory.per_connection_open_bytes, memory.per_connection_used_bytes];
    }
    return result.count / (cpuOf(server.pid) - before);
  } finally {
    server.kill('SIGKILL');
    if (server.exitCode === null && server.signalCode === null) await once(server, 'exit');
  }
}

// The seconds that the process's threads have run.
function cpuOf(pid) {
  const tasks = `/proc/${pid}/task`;
  const spent = fs.readdirSync(tasks).map((task) => Number(fs.readFileSync(`${tasks}/${task}/schedstat`, 'utf8').split(' ')[0]));
  return spent.reduce((sum, nanoseconds) => sum + nanoseconds, 0) / 1e9;
}

function on(cpu, command, args) {
  return os.cpus().length > 1 && hasTaskset() ? ['taskset', ['-c', String(cpu), command, ...args]] : [command, args];
}

let taskset;
function hasTaskset() {
  try {
    taskset ??= Boolean(execFileSync('taskset', ['--version']));
  } catch {
    taskset = false;
  }
  return taskset;
}

let built;
function program() {
  if (process.env.ROPEWAY) return process.env.ROPEWAY;
  if (!built) {
    const root = path.join(__dirname, '../../..');
    execFileSync('cargo', ['build', '--release', '--package', 'ropeway-cli'], { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
    const { target_directory: target } = JSON.parse(
      execFileSync('cargo', ['metadata', '--no-deps', '--format-version', '1'], { cwd: root, encoding: 'utf8', maxBuffer: 1 << 26 }));
    built = path.join(target, 'release/ropeway');
  }
  return built;
}

function row({ say }, { ws, ropeway }, isBytes) {
  if (isBytes) {
    const middle = (figures) => [0, 1].map((at) => Math.round(median(figures.map((figure) => figure[at]))));
    return `| ${say} | ${middle(ws).join(', ')} | ${middle(ropeway).join(', ')} | |`;
  }
  const ratio = median(ropeway) / median(ws);
  return `| ${say} | ${shown(ws)} | ${shown(ropeway)} | × ${ratio.toFixed(2)} |`;
}

const shown = (figures) => `${round(median(figures))} (${round(Math.min(...figures))} to ${round(Math.max(...figures))})`;
const round = (figure) => Number(figure.toPrecision(3)).toLocaleString('en');

function median(figures) {
  const sorted = [...figures].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

function option(args, name) {
  const at = args.indexOf(name);
  return at < 0 ? undefined : args[at + 1];
}

main(process.argv.slice(2)).catch((error) => {
  console.error(`bench: ${error.message}`);
  process.exitCode = 1;
});
