/* ---- connection: one at a time (a "line"); the ready state is always read from the socket ---- */

const STATES = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'];
const ECHOES = ['/', '/echo', '/deflate'];
let line = null;   // { socket, address, mode: 'echo' | 'chat' | 'plain', since, opened: when, again, left: the user closed it, sent: records not answered yet, me: one's name, keeps: whether the server keeps messages }
let redial = false; // dial again once the present line is closed

const ready = () => STATES[line?.socket.readyState ?? WebSocket.CLOSED];

/* Where a server keeps messages: the address, and the position of the last message that came from there. */
let place = null;

/* The address to dial. It asks for the messages that this tab has missed there. */
function continued(address) {
  if (place?.href !== address.href) return address;
  const asking = new URL(address);
  asking.searchParams.set('after', place.position);
  return asking;
}

/* Dials the address in the field; `again` is the address of a line that was lost. */
function connect(again = null) {
  const address = again ?? dialAddress();
  const protocols = $('protocols').value.split(',').map((name) => name.trim()).filter(Boolean);
  if (!again) tries = 0;
  stopWaiting();
  let socket;
  try {
    if (!address) throw new SyntaxError('This is not a WebSocket URL. It looks like ws://host:port/path.');
    socket = new WebSocket(continued(address), protocols);
  } catch (error) {
    stopRepeat();
    takeBack();
    showState();
    $('url').setAttribute('aria-invalid', 'true');
    return add({ dir: 'sys', type: 'error', title: 'Not connected', text: lesson(error), bad: true });
  }
  // Messages that wait for another address are not sent here: the user decides about them.
  if (waiting.some(({ href }) => href !== address.href)) takeBack();
  const mode = ECHOES.includes(address.pathname) ? 'echo' : address.pathname === '/chat' ? 'chat' : 'plain';
  const mine = line = { socket, address, mode, since: now(), opened: 0, again: Boolean(again), left: false, sent: [] };
  socket.binaryType = 'arraybuffer';
  socket.addEventListener('open', () => opened(mine));
  socket.addEventListener('message', (event) => received(mine, event.data));
  socket.addEventListener('close', (event) => closed(mine, event));
  // The error event has no details, by design. The close event that follows has all there is.
  if (!again) add({ dir: 'sys', type: 'connecting', text: `Connecting to ${address.href}` });
  if (mode === 'chat') $('raw').hidden = false;
  showState();
}

function opened(mine) {
  const { protocol, extensions } = mine.socket;
  const facts = [`Open ${mine.again ? 'again ' : ''}after ${duration(now() - mine.since)}`, protocol && `subprotocol ${protocol}`, extensions];
  mine.opened = now();
  add({ dir: 'sys', type: 'open', text: facts.filter(Boolean).join(' · ') });
  for (const { payload } of waiting.splice(0)) transmit(payload);
  showState();
}

function disconnect() {
  const [code, reason] = [$('code').value.trim(), $('reason').value];
  redial = false;
  try {
    line.socket.close(...(code || reason ? [Number(code || 1000), reason] : []));
    line.left = true;
    hint('');
  } catch (error) { // the browser allows 1000 and 3000–4999, and 123 bytes
    hint(lesson(error));
  }
  showState();
}

function closed(mine, { code, reason, wasClean }) {
  stopRepeat();
  hint('');
  unheard(mine);
  if (mine.opened && now() - mine.opened > STEADY) tries = 0;
  const [name, meaning, link] = explain(code, mine);
  // Repeating the explanation with each try would push older entries out of sight.
  const told = mine.again && !mine.opened;
  const text = told ? `Try ${tries} of ${MOST_TRIES}.` : meaning;
  add({ dir: 'sys', type: 'close', code, reason, wasClean, title: `Closed ${code} · ${name}`, text, link: told ? undefined : link, bad: ![1000, 1001, 1005].includes(code) && code < 3000 });
  if (redial) connect();
  else if (!mine.left && LOST.includes(code) && (mine.opened || mine.again || waiting.length)) tryLater(mine.address);
  redial = false;
  showState();
}

/* The text of an error that the browser throws, without the name of the method. */
const lesson = (error) => error.message.replace(/^Failed to .*?'WebSocket': /, '');

const CODES = {
  1000: ['normal closure', 'Both sides were done and said goodbye.'],
  1001: ['going away', 'The server is shutting down, or the page was left.'],
  1002: ['protocol error', 'One side received something that WebSocket does not allow.'],
  1003: ['unsupported data', 'One side got a kind of message that it does not accept, such as binary instead of text.'],
  1005: ['no status', 'The closing handshake was complete; the close frame had no code.'],
  1006: ['abnormal closure', 'The connection broke without a closing handshake.'],
  1007: ['invalid payload', 'A message did not fit its type, such as text that is not UTF-8.'],
  1008: ['policy violation', 'A message broke a rule of the other side.'],
  1009: ['message too big', 'A message was larger than the other side accepts.'],
  1010: ['missing extension', 'The server did not agree to an extension that the client needs.'],
  1011: ['internal error', 'The server met a condition that it did not expect.'],
  1012: ['service restart', 'The server is restarting. Connect again in a moment.'],
  1013: ['try again later', 'The server is overloaded, or this client reads too slowly.'],
  1014: ['bad gateway', 'A gateway got an invalid answer from the server behind it.'],
  1015: ['TLS failure', 'The TLS handshake failed, for instance over a certificate.'],
};

/* The name of a close code, its meaning, and where to find help. */
function explain(code, { opened, address }) {
  if (code === 1006 && !opened) {
    if (address.protocol === 'ws:') return ['never opened', 'Nothing listens there, the handshake was refused, or the port speaks TLS and needs wss:// instead of ws://. Browsers do not tell a page which of these it was, but their console may.'];
    const site = `https://${address.host}/`;
    return ['never opened', 'Nothing listens there, the handshake was refused, or this browser does not trust the server’s certificate. If the certificate is your own, open the server’s address in a tab, accept the certificate there, and connect again:', site];
  }
  if (code >= 4000) return ['private code', 'This server and its clients have agreed on its meaning.'];
  if (code >= 3000) return ['registered code', 'A library or framework registered it with IANA.'];
  return CODES[code] ?? ['unknown code', 'No specification defines it.'];
}

/* Leaves the open line for the address in the field. */
function switchOver() {
  line.socket.close(1000);
  line.left = true;
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
