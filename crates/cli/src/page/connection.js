/* ---- connection: one line at a time, its ready state always the socket's own ---- */

const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
const ECHOES = ['/', '/echo', '/deflate'];
let line = null;   // { socket, address, mode: 'echo' | 'chat' | 'plain', since, opened, sent: records not answered yet }
let waiting = [];  // what the user sent before the line was open
let redial = false; // dial again once the present line is closed

const ready = () => STATES[line?.socket.readyState ?? WebSocket.CLOSED];

function connect() {
  const address = dialAddress();
  const protocols = $('protocols').value.split(',').map((name) => name.trim()).filter(Boolean);
  let socket;
  try {
    if (!address) throw new SyntaxError('This is not a WebSocket URL. It looks like ws://host:port/path.');
    socket = new WebSocket(address, protocols);
  } catch (error) {
    waiting = [];
    stopRepeat();
    showState();
    $('url').setAttribute('aria-invalid', 'true');
    return add({ dir: 'sys', type: 'error', title: 'Not connected', text: lesson(error), bad: true });
  }
  const mode = ECHOES.includes(address.pathname) ? 'echo' : address.pathname === '/chat' ? 'chat' : 'plain';
  const mine = line = { socket, address, mode, since: now(), opened: false, sent: [] };
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('open', () => opened(mine));
  socket.addEventListener('message', (event) => received(mine, event.data));
  socket.addEventListener('close', (event) => closed(mine, event));
  // The error event carries nothing by design; the close event that follows says all there is.
  add({ dir: 'sys', type: 'connecting', text: `Connecting to ${address.href}` });
  if (mode === 'chat') $('raw').hidden = false;
  showState();
}

function opened(mine) {
  const { protocol, extensions } = mine.socket;
  const facts = [`Open after ${duration(now() - mine.since)}`, protocol && `subprotocol ${protocol}`, extensions];
  mine.opened = true;
  add({ dir: 'sys', type: 'open', text: facts.filter(Boolean).join(' · ') });
  showState();
  for (const payload of waiting.splice(0)) transmit(payload);
}

function disconnect() {
  const [code, reason] = [$('code').value.trim(), $('reason').value];
  redial = false;
  waiting = [];
  try {
    line.socket.close(...(code || reason ? [Number(code || 1000), reason] : []));
    hint('');
  } catch (error) { // the browser allows 1000 and 3000–4999, and 123 bytes
    hint(lesson(error));
  }
  showState();
}

function closed(mine, { code, reason, wasClean }) {
  stopRepeat();
  const [name, meaning] = explain(code, mine.opened);
  add({ dir: 'sys', type: 'close', code, reason, wasClean, title: `Closed ${code} · ${name}`, text: meaning, bad: ![1000, 1001, 1005].includes(code) && code < 3000 });
  waiting = [];
  showState();
  if (redial) connect();
  redial = false;
}

/* What the browser says of its own refusal, without the name of the method. */
const lesson = (error) => error.message.replace(/^Failed to .*?'WebSocket': /, '');

const CODES = {
  1000: ['normal closure', 'Both sides were done and said goodbye.'],
  1001: ['going away', 'The server is shutting down, or the page was left.'],
  1002: ['protocol error', 'One side received something that WebSocket does not allow.'],
  1003: ['unsupported data', 'A kind of message came that the other side does not take, such as binary for text.'],
  1005: ['no status', 'The closing handshake was complete; its frame gave no code.'],
  1006: ['abnormal closure', 'The connection broke without a closing handshake.'],
  1007: ['invalid payload', 'A message did not fit its type, such as text that is not UTF-8.'],
  1008: ['policy violation', 'A message broke a rule of the other side.'],
  1009: ['message too big', 'A message was larger than the other side takes.'],
  1010: ['missing extension', 'The server did not agree to an extension that the client needs.'],
  1011: ['internal error', 'The server met a condition that it did not expect.'],
  1012: ['service restart', 'The server is restarting. Connect again in a moment.'],
  1013: ['try again later', 'The server is overloaded, or this client reads too slowly.'],
  1014: ['bad gateway', 'A gateway got an invalid answer from the server behind it.'],
  1015: ['TLS failure', 'The TLS handshake failed, for instance over a certificate.'],
};

function explain(code, wasOpen) {
  if (code === 1006 && !wasOpen) return ['never opened', 'Nothing listens there, or the handshake was refused. Browsers do not tell a page which; their console does.'];
  if (code >= 4000) return ['private code', 'What it means is between this server and its clients.'];
  if (code >= 3000) return ['registered code', 'A library or framework registered it with IANA.'];
  return CODES[code] ?? ['unknown code', 'No specification defines it.'];
}

/* Leaves the open line for the address in the field. */
function switchOver() {
  line.socket.close(1000);
  redial = true;
  showState();
}

$('address').addEventListener('submit', (event) => {
  event.preventDefault();
  const edited = [$('url'), $('name')].includes(document.activeElement);
  if (ready() === 'CLOSED') connect();
  else if (edited && !$('moved').hidden) switchOver();
  else disconnect();
});
$('switch').addEventListener('click', switchOver);
