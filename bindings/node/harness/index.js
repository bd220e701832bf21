'use strict';

// Here the tests of npm's ws find the package: `require('..')`.
module.exports = require('..');
