// Runs the binary under test: `ropeway serve` in the background, `ropeway connect` to its end.
// ROPEWAY names the binary. Its log goes to the file that ROPEWAY_LOG names; without that it is dropped.

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { after } from 'node:test';

const BINARY = process.env.ROPEWAY ?? 'ropeway';

// On an idle machine nothing here takes a second. A test that reaches this limit has found a hang.
export const DEADLINE = 30_000;

// Programs that are running. One that is left, such as after a failed assertion, would keep this process alive.
const running = new Set();
after(() => { for (const child of running) child.kill('SIGKILL'); });

// Starts a program that is killed with the tests if it has not ended by then.
export function run(program, args, options) {
  const child = spawn(program, args, options);
  running.add(child);
  child.once('exit', () => running.delete(child));
  return child;
}

// Starts a server that prints its URL. Every line that it prints is added to `lines`.
export async function start(binary, args = [], env = {}) {
  const log = openSync(process.env.ROPEWAY_LOG ?? '/dev/null', 'a');
  const child = run(binary, args, { stdio: ['ignore', 'pipe', log], env: { ...process.env, ...env } });
  closeSync(log);
  const printed = createInterface({ input: child.stdout });
  const lines = [];
  printed.on('line', (line) => lines.push(line));
  const ended = once(child, 'exit');
  while (!lines.some((line) => line.includes('://'))) {
    await Promise.race([
      once(printed, 'line', { signal: AbortSignal.timeout(DEADLINE) }),
      ended.then(([code]) => { throw new Error(`${binary} ended with ${code} before it announced a URL`); }),
    ]);
  }
  const { host } = new URL(lines.find((line) => line.includes('://')).match(/\w+:\/\/\S+/)[0]);
  return {
    host,
    lines,
    http: `http://${host}/`,
    ws: (path) => `ws://${host}${path}`,
    interrupt: () => child.kill('SIGINT'),
    kill: () => child.kill('SIGKILL'),
    // The exit status.
    ended: ended.then(([code]) => code),
    // Resolves when a line that matches has been printed.
    async printed(pattern) {
      const signal = AbortSignal.timeout(DEADLINE);
      while (!lines.some((line) => pattern.test(line))) {
        await once(printed, 'line', { signal }).catch(() => {
          throw new Error(`no line matches ${pattern}:\n${lines.join('\n')}`);
        });
      }
    },
  };
}

export const serve = (...options) => serveOn('127.0.0.1:0', ...options);

// The same on a given address, such as that of a server that has ended.
export const serveOn = (address, ...options) => start(BINARY, ['serve', '--listen', address, ...options]);

// Runs `ropeway connect` in a pipe: it reads `stdin` to the end. Without `stdin` its input stays open.
export async function connect(url, stdin, ...options) {
  const child = run(BINARY, ['connect', url, ...options], { timeout: DEADLINE, killSignal: 'SIGKILL' });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text) => { stdout += text; });
  child.stderr.setEncoding('utf8').on('data', (text) => { stderr += text; });
  child.stdin.on('error', () => {}); // it may end before it has read everything; its exit code then says why
  if (stdin !== undefined) child.stdin.end(stdin);
  const [code] = await once(child, 'close');
  return { code, stdout, stderr };
}
