'use strict';

// The certificate of the interoperability tests, as options of an HTTPS server.

const fs = require('node:fs');
const path = require('node:path');

const FOLDER = path.join(__dirname, '../../../../conformance/interop/tls');

function certificate() {
  const read = (name) => fs.readFileSync(path.join(FOLDER, name));
  return { cert: read('server.pem'), key: read('server.key') };
}

module.exports = { certificate };
