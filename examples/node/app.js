'use strict';

// An Express app with a page, and WebSockets on its port.
//
//   npm install && npm start        then open http://localhost:8005/

const http = require('node:http');
const path = require('node:path');
const express = require('express');
const listen = require('./socket');

const app = express();
app.use(express.static(path.join(__dirname, 'public')));

const server = http.createServer(app);
listen(server);

server.listen(process.env.PORT ?? 8005, () => {
  console.log(`open http://localhost:${server.address().port}/`);
});
