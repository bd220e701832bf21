'use strict';

// The rows of the repository's testdata/ that are about receiving, through the addon: whole, one byte at a time, and cut in two.

const assert = require('node:assert');
const { spawnSync } = require('node:child_process');
const path = require('node:path');
const { test } = require('node:test');

const { Inbound } = require('../lib/inbound');

/** The numbers of src/text.rs. */
const NUMBERS = {
  ReservedBits: 1, UnexpectedCompression: 2, ReservedOpcode: 3, MessageUnfinished: 3, NothingToContinue: 3, FragmentedControl: 4,
  ControlTooLong: 5, ClosePayloadOfOneByte: 5, MaskMissing: 6, MaskUnexpected: 7, InvalidCloseCode: 8, NotUtf8: 9, CloseReasonNotUtf8: 9,
  LengthTopBit: 10, MessageTooBig: 11, TooManyFragments: 12, CorruptDeflate: 13, LengthNotMinimal: 14
};

/** In these a header announces more than 2^53 - 1 bytes, for which ws has an error of its own: number 10. */
const HUGE = new Set([
  'length_of_2_to_the_63_less_1_is_too_big', 'length_of_2_to_the_63_less_1_is_too_big_for_a_client',
  'fragments_whose_lengths_would_overflow_are_too_big'
]);

/** Longer input is cut in two at a few places only. */
const SHORT = 200;

function rows() {
  const cargo = spawnSync(process.env.CARGO || 'cargo', ['run', '--quiet', '-p', 'testkit', '--example', 'rows'], {
    // A library that the addon needs, such as a sanitizer's, is not for cargo.
    env: { ...process.env, LD_PRELOAD: '' }, cwd: path.join(__dirname, '..'), stdio: ['ignore', 'pipe', 'inherit'], maxBuffer: 1 << 28, timeout: 600000
  });
  assert.strictEqual(cargo.status, 0, 'cargo prints the rows');
  // A limit of 0 bytes is none in ws.
  return cargo.stdout.toString().trim().split('\n').map((line) => JSON.parse(line)).filter((row) => row.maxPayload > 0);
}

class Listener {
  constructor() { this.events = []; }
  _onMessage(data, isBinary) { this.events.push([isBinary ? 'binary' : 'text', data.toString('hex')]); }
  _onPing(data) { this.events.push(['ping', data.toString('hex')]); }
  _onPong(data) { this.events.push(['pong', data.toString('hex')]); }
  _onCloseFrame(code, reason) { this.events.push(['close', code, reason.toString('hex')]); }
  _onViolation(kind) { this.events.push(['violation', kind]); }
}

async function run(row, chunks) {
  const listener = new Listener();
  const inbound = new Inbound(listener, row);
  // Payloads are unmasked where they are, so each run has bytes of its own.
  for (const chunk of chunks) inbound.feed(Buffer.from(chunk));
  // Inflated bytes come in slices.
  for (let turns = 0; !inbound.isIdle && turns < 1000; turns++) await new Promise(setImmediate);
  inbound.free();
  return listener.events;
}

function* cuts(chunks) {
  yield chunks;
  const all = Buffer.concat(chunks);
  if (all.length > 5000) return;
  yield [...all].map((byte) => Buffer.from([byte]));
  const step = all.length <= SHORT ? 1 : Math.ceil(all.length / 20);
  for (let at = 1; at < all.length; at += step) yield [all.subarray(0, at), all.subarray(at)];
}

test('every row of testdata/ about receiving holds, however its input is cut', async () => {
  const all = rows();
  assert.ok(all.length > 250, `only ${all.length} rows were found`);
  const failed = [];
  for (const row of all) {
    const number = (name) => (HUGE.has(row.name) ? 10 : NUMBERS[name]);
    const expected = row.events.map(([kind, ...rest]) => (kind === 'violation' ? [kind, number(rest[0])] : [kind, ...rest]));
    const input = row.input.map((hex) => Buffer.from(hex, 'hex'));
    for (const chunks of cuts(input)) {
      const events = await run(row, chunks);
      if (JSON.stringify(events) === JSON.stringify(expected)) continue;
      failed.push(`${row.name}, in ${chunks.length} chunks: ${JSON.stringify(events).slice(0, 200)}, not ${JSON.stringify(expected).slice(0, 200)}`);
      break;
    }
  }
  assert.deepStrictEqual(failed, []);
});
