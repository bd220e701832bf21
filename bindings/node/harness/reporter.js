'use strict';

// Reporter for mocha: one line of JSON a test, into the file that ROPEWAY_RESULTS names, at the moment when the test ends.
// If the process dies the lines before are there.

const fs = require('node:fs');

const EVENTS = { pass: 'passed', fail: 'failed', pending: 'skipped' };

module.exports = class Lines {
  constructor(runner) {
    const ids = new Map();
    for (const [event, state] of Object.entries(EVENTS)) {
      runner.on(event, (test, error) => {
        // A test may end twice: when it calls its callback again, or throws after it.
        if (!ids.has(test)) ids.set(test, ids.size);
        const line = { id: ids.get(test), state, title: test.fullTitle(), error: error && String(error.stack || error) };
        fs.appendFileSync(process.env.ROPEWAY_RESULTS, `${JSON.stringify(line)}\n`);
      });
    }
  }
};
