// The page and the WebSocket share one port, so the address is this page's own.
const scheme = location.protocol === 'https:' ? 'wss:' : 'ws:';
const socket = new WebSocket(`${scheme}//${location.host}/`);

socket.onopen = () => log('note', 'open');

socket.onmessage = ({ data }) => {
  log('in', data);
  socket.send(`got: ${data}`);
  log('out', `got: ${data}`);
};

// A browser tells a page nothing about an error; the close event that follows says what there is to know.
socket.onclose = ({ code, reason }) => log('note', `close ${code} ${reason}`.trim());

// textContent, never innerHTML: what a peer sent is text, not markup.
function log(kind, text) {
  const line = document.createElement('li');
  line.className = kind;
  line.textContent = text;
  document.getElementById('log').append(line);
  document.getElementById('state').textContent = ['CONNECTING', 'OPEN', 'CLOSING', 'CLOSED'][socket.readyState];
  line.scrollIntoView({ block: 'nearest' });
}
