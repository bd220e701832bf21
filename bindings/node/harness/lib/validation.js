'use strict';

// In the package the core checks UTF-8. Here Node does, for the tests of a module that the package does not have.

const { isUtf8 } = require('node:buffer');

module.exports = { isValidUTF8: isUtf8 };
