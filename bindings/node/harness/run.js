'use strict';

// Runs the test files of npm's ws, unmodified, against this package.
//
//   node harness/run.js PATH-OF-A-CLONE-OF-WS [--lane fd|stream] [--only TEXT] [--update]
//
// The files are taken from the clone's history at one commit and stay out of this repository, as does mocha.
// Tests that are known to fail are in expected.json, each with the reason. The run fails if another test fails,
// and if one of these passes. An entry with `since` holds for this major version of Node and later ones.
//
//   --lane    all sockets on one lane; without it plain TCP takes the fd lane where there is one
//   --only    only the files whose name contains TEXT
//   --update  writes the titles of the tests that fail into expected.json; reasons are to be written by hand

const { spawnSync } = require('node:child_process');
const fs = require('node:fs');
const path = require('node:path');

const COMMIT = 'a2f4e7c0'; // 2026-06-22, 8.21.0 and five changes
const EXPECTED = path.join(__dirname, 'expected.json');
const RESULTS = path.join(__dirname, 'results');
const TESTS = path.join(__dirname, 'test');

// mocha's own limit is 2 s for a test. The tests of ws take milliseconds; on a busy machine 2 s is little.
const TEST_MS = 10 * 1000;
const FILE_MS = 5 * 60 * 1000;

main(process.argv.slice(2));

function main(args) {
  const [clone, { lane, only, update }] = read(args);
  fetchTests(clone);
  installMocha();
  fs.rmSync(RESULTS, { recursive: true, force: true });
  fs.mkdirSync(RESULTS);

  const files = fs.readdirSync(TESTS).filter((name) => name.endsWith('.test.js') && name.includes(only));
  const results = files.flatMap((file) => run(file, lane));
  const expected = fs.existsSync(EXPECTED) ? JSON.parse(fs.readFileSync(EXPECTED)) : [];
  if (update) rewrite(expected, results);
  else process.exitCode = summarise(results, expected.filter((test) => applies(test, lane, files)), lane);
}

// The commit's folder `test` becomes ours.
function fetchTests(clone) {
  const archive = spawnSync('git', ['-C', clone, 'archive', COMMIT, 'test'], { maxBuffer: 1 << 26 });
  if (archive.status !== 0) {
    fail(
      `${clone} is no clone of ws that has commit ${COMMIT}: ${archive.stderr || archive.error}\n` +
      'Make one with: git clone https://github.com/websockets/ws'
    );
  }
  fs.rmSync(TESTS, { recursive: true, force: true });
  const unpacked = spawnSync('tar', ['-x', '-C', __dirname], { input: archive.stdout });
  if (unpacked.status !== 0) fail(`The tests could not be unpacked with tar: ${unpacked.stderr || unpacked.error}`);
}

function installMocha() {
  if (fs.existsSync(path.join(__dirname, 'node_modules', 'mocha'))) return;
  const npm = process.platform === 'win32' ? 'npm.cmd' : 'npm';
  const done = spawnSync(npm, ['install', '--no-audit', '--no-fund'], { cwd: __dirname, stdio: 'inherit' });
  if (done.status !== 0) fail('npm could not install mocha: its messages are above.');
}

// Each file in a process of its own: if one dies the others run.
function run(file, lane) {
  const lines = path.join(RESULTS, `${file}.jsonl`);
  fs.writeFileSync(lines, '');
  const mocha = path.join(__dirname, 'node_modules', 'mocha', 'bin', 'mocha');
  const env = { ...process.env, ROPEWAY_RESULTS: lines, ...(lane && { ROPEWAY_LANE: lane }) };
  const args = ['--throw-deprecation', mocha, '--exit', '--timeout', TEST_MS, '--reporter', path.join(__dirname, 'reporter.js')];
  const done = spawnSync(process.execPath, [...args, path.join('test', file)], {
    cwd: __dirname, env, timeout: FILE_MS, maxBuffer: 1 << 28
  });
  const ends = fs.readFileSync(lines, 'utf8').split('\n').filter(Boolean).map((line) => JSON.parse(line));
  const results = number(merge(ends), file);
  const failures = ends.filter(({ state }) => state === 'failed').length;
  if (done.signal || done.status !== Math.min(failures, 255)) {
    const last = results.length > 0 ? results[results.length - 1].test : 'nothing';
    results.push({
      state: 'failed',
      test: `${file}: the process ended early`,
      error: `Ended with ${done.signal || done.status} after: ${last}\n${done.stderr}`
    });
  }
  const passed = results.filter(({ state }) => state === 'passed').length;
  console.log(`${file}: ${passed} of ${results.length}`);
  return results;
}

// One result a test. A failure counts, also if it came after the test had passed.
function merge(ends) {
  const byId = new Map();
  for (const end of ends) if (!byId.has(end.id) || end.state === 'failed') byId.set(end.id, end);
  return [...byId.values()];
}

// A title that several tests have gets a number.
function number(results, file) {
  const seen = new Map();
  return results.map(({ id, title, ...rest }) => {
    const count = (seen.get(title) || 0) + 1;
    seen.set(title, count);
    return { ...rest, test: `${file}: ${title}${count > 1 ? ` (${count})` : ''}` };
  });
}

function applies(test, lane, files) {
  const isHere = files.includes(test.test.slice(0, test.test.indexOf(':')));
  const major = Number(process.versions.node.split('.')[0]);
  return isHere && (!test.lane || test.lane === lane) && (!test.since || major >= test.since);
}

function summarise(results, expected, lane) {
  const reasons = new Map(expected.map(({ test, reason }) => [test, reason]));
  const failed = results.filter(({ state }) => state === 'failed');
  const passed = results.filter(({ state }) => state === 'passed');
  const skipped = results.filter(({ state }) => state === 'skipped');
  const known = failed.filter(({ test }) => reasons.has(test));
  const unknown = failed.filter(({ test }) => !reasons.has(test));
  const cured = passed.filter(({ test }) => reasons.has(test));
  const gone = expected.filter(({ test }) => !results.some((result) => result.test === test));

  for (const { test } of known) console.log(`known to fail  ${test}\n               ${reasons.get(test)}`);
  for (const { test } of skipped) console.log(`skips itself   ${test}`);
  for (const { test, error } of unknown) console.log(`FAILED         ${test}\n${indent(error)}`);
  for (const { test } of cured) console.log(`PASSED, but is in expected.json: ${test}`);
  for (const { test } of gone) console.log(`NOT FOUND, but is in expected.json: ${test}`);

  console.log(
    `ws ${COMMIT} on Node ${process.version}, lane ${lane || 'as it comes'}: ` +
    `${passed.length} of ${results.length} passed, ${known.length} known to fail, ${unknown.length} failed`
  );
  return unknown.length + cured.length + gone.length === 0 ? 0 : 1;
}

function rewrite(expected, results) {
  const reasons = new Map(expected.map((test) => [test.test, test]));
  const failed = results.filter(({ state }) => state === 'failed');
  const list = failed.map(({ test }) => reasons.get(test) || { test, reason: '' });
  fs.writeFileSync(EXPECTED, `${JSON.stringify(list, null, 2)}\n`);
  console.log(`${path.relative(process.cwd(), EXPECTED)}: ${list.length} tests`);
}

function indent(text) {
  return text.replace(/^/gm, '               ');
}

function read(args) {
  const options = { lane: '', only: '', update: false };
  let clone;
  for (let i = 0; i < args.length; i++) {
    if (args[i] === '--update') options.update = true;
    else if (args[i] === '--lane' || args[i] === '--only') options[args[i].slice(2)] = args[++i];
    else clone = args[i];
  }
  if (clone === undefined || !['', 'fd', 'stream'].includes(options.lane) || options.only === undefined) {
    fail('Usage: node harness/run.js PATH-OF-A-CLONE-OF-WS [--lane fd|stream] [--only TEXT] [--update]');
  }
  return [clone, options];
}

function fail(message) {
  console.error(message);
  process.exit(2);
}
