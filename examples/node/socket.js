'use strict';

// The WebSocket side of the app. With `ws` in place of `ropeway` in the next line it does the same.

const WebSocket = require('ropeway');

module.exports = (server) => {
  const wss = new WebSocket.Server({ server });

  wss.on('connection', (ws, request) => {
    // Behind a proxy the address of the socket is the proxy's. Anybody can send this header, so believe it only if your
    // proxy sets it.
    const ip = request.headers['x-forwarded-for'] ?? request.socket.remoteAddress;
    console.log('client', ip);

    // A message is a stranger's text. JSON keeps it on one line, and from moving your terminal's cursor.
    ws.on('message', (message) => console.log('message', JSON.stringify(message.toString())));
    ws.on('error', (error) => console.log('error', error.message));
    ws.on('close', (code) => {
      console.log('closed', code);
      clearInterval(timer);
    });

    const timer = setInterval(() => {
      if (ws.readyState === ws.OPEN) ws.send('hello from the server');
    }, 3000);
  });

  return wss;
};
