/* ---- sending: the box, hex, files, repeat and burst ---- */

const MAX_BURST = 100_000;
const MAX_PAST = 200;
const past = [];         // messages to recall
let recalled = 0;        // index into `past`; its length when nothing is recalled
let counter = 0;         // the number that replaces {n}
let repeating = null;

/* The payload in the box: a string, or bytes if hex is chosen. If it is not valid, shows why and returns null. */
function compose() {
  const written = $('message').value.replaceAll('{n}', () => String(++counter));
  hint('');
  if (!$('hex').checked) return written;
  const digits = written.replace(/0x|[\s,:]/gi, '');
  if (/[^0-9a-f]/i.test(digits)) return hint('Hex takes the digits 0–9 and a–f only.');
  if (digits.length % 2) return hint('Hex needs two digits for each byte; one is missing.');
  return Uint8Array.from(digits.match(/../g) ?? [], (byte) => parseInt(byte, 16));
}

/* Sends on the open line, or keeps the payload until a line is open. Returns null if neither is possible. `written` is the text of the box. */
function dispatch(payload, written) {
  if (ready() === 'OPEN') return transmit(payload);
  if (ready() === 'CLOSING') return hint('The connection is closing; nothing can be sent on it any more.');
  const address = ready() === 'CONNECTING' ? line.address : dialAddress();
  if (keep(payload, written, address) === null) return null;
  // While tries go on, another message does not make the next try earlier.
  if (ready() === 'CLOSED' && !(next && next.address.href === address?.href)) connect();
}

function transmit(payload) {
  const { socket, sent, mode } = line;
  const record = { dir: 'out', at: now(), ...content(payload) };
  socket.send(payload);
  add(record);
  if (mode !== 'plain') sent.push(record);
  if (sent.length > MAX_BURST) sent.shift(); // for a server that does not answer
}

function sendBox() {
  const written = $('message').value;
  const payload = compose();
  if (payload === null) return;
  if (written && past.at(-1) !== written) past.push(written);
  if (past.length > MAX_PAST) past.shift();
  recalled = past.length;
  $('message').value = '';
  if (dispatch(payload, written) === null) $('message').value = written;
  grow();
}

async function sendFiles(files) {
  for (const file of [...files]) dispatch(new Uint8Array(await file.arrayBuffer()));
}

function stopRepeat() {
  clearInterval(repeating);
  repeating = null;
  $('repeat').textContent = 'Start';
}

function startRepeat() {
  const every = Math.max(4, Number($('every').value) || 1000); // browsers do not tick faster than 4 ms
  const once = () => {
    const payload = compose();
    if (payload === null) stopRepeat();
    else dispatch(payload, $('message').value);
  };
  counter = 0;
  repeating = setInterval(once, every);
  $('repeat').textContent = 'Stop';
  once();
}

/* Sends N messages in slices, so that the page stays alive and the socket's buffer small. */
async function burst() {
  counter = 0;
  for (let left = Math.min(MAX_BURST, Number($('burst-n').value)); left > 0;) {
    for (let slice = Math.min(left, 250); slice > 0; slice--, left--) {
      if (ready() !== 'OPEN') return hint('A burst needs an open connection.');
      const payload = compose();
      if (payload === null) return;
      transmit(payload);
    }
    do await new Promise((resume) => setTimeout(resume)); while (line.socket.bufferedAmount > 1 << 20);
  }
}

function hint(text) {
  if ($('hint').textContent !== text) $('hint').textContent = text;
  return null;
}

function grow() {
  $('message').style.height = 'auto';
  $('message').style.height = $('message').scrollHeight + 'px';
}

$('send').addEventListener('click', () => { sendBox(); $('message').focus(); });
$('message').addEventListener('input', grow);
$('repeat').addEventListener('click', () => (repeating ? stopRepeat() : startRepeat()));
$('burst').addEventListener('click', burst);
$('auto-toggle').addEventListener('click', () => {
  $('auto').hidden = !$('auto').hidden;
  $('auto-toggle').setAttribute('aria-expanded', String(!$('auto').hidden));
  $('auto').scrollIntoView({ block: 'nearest' });
});
// A hint is about the last action, so the next action removes it.
for (const type of ['input', 'change', 'click']) addEventListener(type, () => hint(''), true);
document.addEventListener('change', (event) => {
  if (event.target.name === 'kind') $('message').placeholder = $('hex').checked ? 'Bytes, such as 48 65 6c 6c 6f' : 'Message';
});
$('file').addEventListener('click', () => $('files').click());
$('files').addEventListener('change', () => { sendFiles($('files').files); $('files').value = ''; });
for (const type of ['dragover', 'dragleave', 'drop']) {
  addEventListener(type, (event) => {
    if (!event.dataTransfer?.types.includes('Files')) return;
    event.preventDefault();
    $('box').classList.toggle('drop', type === 'dragover');
    if (type === 'drop') sendFiles(event.dataTransfer.files);
  });
}
