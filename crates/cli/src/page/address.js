/* ---- address: the URL field, the path chips and location.hash say the same thing ---- */

const home = (location.protocol === 'https:' ? 'wss://' : 'ws://') + (location.host || '127.0.0.1:8005');
const chips = [...document.querySelectorAll('[name=path]')];

/* The URL in the field, or null if it is not valid. A missing scheme means ws:, and so does http:. */
function readAddress() {
  const typed = $('url').value.trim().replace(/^http/i, 'ws');
  try { return new URL(/^wss?:\/\//i.test(typed) ? typed : 'ws://' + typed); } catch { return null; }
}

/* The URL to dial. On /chat its query has the name. */
function dialAddress() {
  const address = readAddress();
  const name = $('name').value.trim();
  if (address?.pathname === '/chat' && name && !address.searchParams.has('name')) address.searchParams.set('name', name);
  return address;
}

/* A link is `#/chat` for a path here, or `#wss://host/path` for somewhere else. Only a link to a chat here connects by itself, see `start`. */
function readHash() {
  const hash = location.hash.slice(1);
  $('url').value = /^wss?:\/\//i.test(hash) ? hash : home + (hash.startsWith('/') ? hash : '/echo');
  showAddress();
}

function writeHash() {
  const href = readAddress()?.href ?? '';
  history.replaceState(null, '', '#' + (href.startsWith(home + '/') ? href.slice(home.length) : href));
}

function showAddress() {
  const address = readAddress();
  const here = address && `${address.protocol}//${address.host}` === home;
  for (const chip of chips) chip.checked = here && chip.value === address.pathname;
  $('naming').hidden = address?.pathname !== '/chat';
  $('url').removeAttribute('aria-invalid');
  const moved = ready() === 'OPEN' && dialAddress()?.href !== line.address.href;
  $('moved').hidden = !moved;
  if (moved) $('live').textContent = line.address.pathname;
}

$('url').addEventListener('input', () => { writeHash(); showAddress(); });
$('name').addEventListener('input', showAddress);
$('paths').addEventListener('change', (event) => {
  $('url').value = home + event.target.value;
  writeHash();
  showAddress();
});
addEventListener('hashchange', readHash);
