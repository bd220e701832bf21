//! The client: connecting, the opening handshake, and the settings of both.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use ropeway_proto::handshake::{self, ClientError, ClientHandshake, ClientOptions, Target};
use ropeway_proto::{Config, Connection, Role, deflate};
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout};

use crate::Error;
use crate::driver::{Endpoint, Opened};
use crate::handler::Handler;
use crate::handshake::Handshake;
use crate::link::{Link, Overflow};
use crate::listeners::{Listen, Socket};
use crate::random;
use crate::scratch;
use crate::sender::Sender;
use crate::start;
use crate::transport::Transport;
use crate::websocket::{Pull, WebSocket};

/// Connects to a `ws://` or `wss://` URL with the default settings.
///
/// ```no_run
/// # async fn run() -> Result<(), ropeway::Error> {
/// let mut ws = ropeway::connect("wss://example.org/feed").await?;
/// ws.send("hello").await?;
/// while let Some(message) = ws.recv().await? {
///     println!("{message}");
/// }
/// # Ok(())
/// # }
/// ```
pub async fn connect(url: &str) -> Result<WebSocket, Error> {
    Client::new().connect(url).await
}

/// The settings of a client, for any number of connections. All have safe defaults; options that npm `ws` has are named as
/// there.
///
/// ```no_run
/// # async fn run() -> Result<(), Box<dyn std::error::Error>> {
/// let ws = ropeway::Client::new()
///     .header("authorization".parse()?, "Bearer 1234".parse()?)
///     .subprotocols(["chat.v2"])
///     .connect("ws://127.0.0.1:8005/chat")
///     .await?;
/// println!("we speak {:?}", ws.subprotocol());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    options: ClientOptions,
    config: Config,
    overflow: Overflow,
    mask: fn() -> [u8; 4],
    handshake_timeout: Duration,
    #[cfg(feature = "tls")]
    tls: Option<Arc<tokio_rustls::rustls::ClientConfig>>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            options: ClientOptions::default(),
            config: Config::client(),
            overflow: Overflow::default(),
            mask: random::mask,
            handshake_timeout: Duration::from_secs(10),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }
}

/// Settings.
impl Client {
    /// The default settings.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends a header with the opening handshake. Several of the same name are all sent.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.options.headers.append(name, value);
        self
    }

    /// Sends these headers with the opening handshake, and no others.
    pub fn headers(mut self, headers: HeaderMap) -> Self {
        self.options.headers = headers;
        self
    }

    /// The `Origin` to send. None is sent by default: this is no browser.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.options.origin = Some(origin.into());
        self
    }

    /// The subprotocols to offer, the preferred one first.
    pub fn subprotocols<S: Into<String>>(mut self, subprotocols: impl IntoIterator<Item = S>) -> Self {
        self.options.subprotocols = subprotocols.into_iter().map(Into::into).collect();
        self
    }

    /// How compression is offered; it is by default, and the server decides. `None` offers none.
    pub fn per_message_deflate(mut self, options: impl Into<Option<deflate::Options>>) -> Self {
        self.options.deflate = options.into();
        self
    }

    /// The most bytes a message may have, inflated; more is answered with close code 1009. 64 MiB by default.
    pub fn max_payload(mut self, bytes: usize) -> Self {
        self.config.max_payload = bytes;
        self
    }

    /// From how many unwritten bytes on there is no room for another message; see [`Overflow`]. 1 MiB by default.
    pub fn max_buffered(mut self, bytes: usize) -> Self {
        self.config.max_buffered = bytes;
        self
    }

    /// After how long a silence a ping asks whether the server is there; `None` never asks. 20 s by default.
    pub fn ping_interval(mut self, interval: impl Into<Option<Duration>>) -> Self {
        self.config.ping_interval = interval.into();
        self
    }

    /// How long after such a ping a silent server counts as gone. 20 s by default.
    pub fn ping_timeout(mut self, timeout: Duration) -> Self {
        self.config.ping_timeout = timeout;
        self
    }

    /// How long the closing handshake may take. 10 s by default.
    pub fn close_timeout(mut self, timeout: Duration) -> Self {
        self.config.close_timeout = timeout;
        self
    }

    /// Whether pings are answered without being asked. They are by default.
    pub fn auto_pong(mut self, on: bool) -> Self {
        self.config.auto_pong = on;
        self
    }

    /// How long connecting may take, from the name's resolution to the server's answer. 10 s by default.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// What happens to a message for which there is no room.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.overflow = overflow;
        self
    }

    /// What gives each frame its masking key; by default the operating system's randomness does.
    ///
    /// RFC 6455 section 10.3 asks for keys that nobody can foretell: else whoever chooses the payload chooses the bytes on the
    /// wire too, and could have a proxy between take them for a request. Where nobody else chooses payloads, as in a load
    /// test, or no proxy is between, cheaper keys will do. The key `[0; 4]` leaves the payload as it is.
    ///
    /// A panic in it ends the connection on the spot, without a close frame and without the close event.
    ///
    /// ```
    /// let client = ropeway::Client::new().generate_mask(|| [0; 4]);
    /// ```
    pub fn generate_mask(mut self, mask: fn() -> [u8; 4]) -> Self {
        self.mask = mask;
        self
    }

    /// All limits and times of a connection at once, in place of those that were set before.
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// The TLS settings for `wss://`, such as other roots or a client certificate. By default Mozilla's roots are trusted.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: Arc<tokio_rustls::rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }
}

/// Connecting. All of these end with an error after the handshake timeout, and can be dropped at any time to give up.
impl Client {
    /// Connects, for a connection that is asked for its messages.
    pub async fn connect(&self, url: &str) -> Result<WebSocket, Error> {
        Ok(self.connect_full(url).await?.0)
    }

    /// The same, with what the opening handshake said.
    pub async fn connect_full(&self, url: &str) -> Result<(WebSocket, Handshake), Error> {
        let opened = self.open(url).await?;
        Ok(pull(opened).await)
    }

    /// Connects, for a connection whose events a handler takes.
    pub async fn connect_with(&self, url: &str, handler: impl Handler) -> Result<Sender, Error> {
        let opened = self.open(url).await?;
        Ok(start(opened, handler))
    }

    /// Connects, for a connection that is listened to. `listen` is called once it is open, to put listeners on it.
    pub async fn listen<F>(&self, url: &str, listen: F) -> Result<Sender, Error>
    where
        F: Fn(&mut Socket, Handshake) + Send + Sync + 'static,
    {
        self.connect_with(url, Listen(listen)).await
    }

    /// Does the opening handshake over a stream that leads to the server of `url`, such as a proxy's or one with its own TLS.
    pub async fn connect_over(&self, url: &str, stream: impl Into<Transport>) -> Result<(WebSocket, Handshake), Error> {
        let target: Target = url.parse().map_err(ClientError::from)?;
        let mut client = ClientHandshake::new(&target, &self.options, random::bytes())?;
        let opened = timeout(self.handshake_timeout, self.shake_hands(&mut client, stream.into())).await;
        Ok(pull(opened.unwrap_or_else(|_| Err(client.handle_timeout().into()))?).await)
    }

    async fn open(&self, url: &str) -> Result<Opened, Error> {
        let target: Target = url.parse().map_err(ClientError::from)?;
        // What the caller got wrong is known before anything is connected.
        let mut client = ClientHandshake::new(&target, &self.options, random::bytes())?;
        let opened = timeout(self.handshake_timeout, async {
            let stream = self.dial(&target).await?;
            self.shake_hands(&mut client, stream).await
        });
        opened.await.unwrap_or_else(|_| Err(client.handle_timeout().into()))
    }

    /// Connects the transport.
    async fn dial(&self, target: &Target) -> Result<Transport, Error> {
        let tcp = TcpStream::connect((target.host(), target.port())).await.map_err(Error::Connect)?;
        tcp.set_nodelay(true).map_err(Error::Connect)?;
        if !target.is_secure() {
            return Ok(tcp.into());
        }
        #[cfg(feature = "tls")]
        return crate::tls::connect(tcp, target.host(), self.tls.clone()).await;
        #[cfg(not(feature = "tls"))]
        Err(Error::Tls(io::Error::new(
            io::ErrorKind::Unsupported,
            "wss:// needs ropeway's `tls` feature, or a stream with TLS of your own (`Client::connect_over`)",
        )))
    }

    async fn shake_hands(&self, client: &mut ClientHandshake, mut stream: Transport) -> Result<Opened, Error> {
        let request = client.request_bytes();
        stream.write_all(&request).await.map_err(Error::Connect)?;
        stream.flush().await.map_err(Error::Connect)?;
        let (opened, leftover) = read_answer(client, &mut stream).await?;

        let remote_addr = match &stream {
            Transport::Tcp(tcp) => tcp.peer_addr().ok(),
            Transport::Other(_) => None,
        };
        // Whether the peer's close frame is answered at once is the handler's to say.
        let config = Arc::new(Config { auto_close: false, ..self.config.clone() });
        let link = Arc::new(Link::new(remote_addr, config.max_buffered, self.overflow));
        let role = Role::Client { mask: self.mask };
        let mut connection = Connection::new(role, config, Instant::now().into_std());
        let handshake::Opened { negotiated, response, .. } = opened;
        if let (Some(params), Some(options)) = (&negotiated.deflate, &self.options.deflate) {
            // A client has few connections; each keeps its codecs to itself.
            connection = connection.with_deflate(params, options);
        }
        let mut handshake = Handshake::new(client.request().clone(), response, negotiated.subprotocol);
        handshake.remote_addr = remote_addr;
        Ok(Opened { stream, connection, link, handshake, leftover, place: None })
    }
}

/// Reads the server's answer; gives it with what came behind it.
async fn read_answer(
    client: &mut ClientHandshake,
    stream: &mut Transport,
) -> Result<(handshake::Opened, Vec<u8>), Error> {
    poll_fn(|cx| {
        loop {
            let step = scratch::with(|buffer| {
                let mut read = ReadBuf::new(buffer);
                match ready!(Pin::new(&mut *stream).poll_read(cx, &mut read)) {
                    Err(error) if error.kind() != io::ErrorKind::UnexpectedEof => {
                        return Poll::Ready(Err(Error::Connect(error)));
                    }
                    _ if read.filled().is_empty() => return Poll::Ready(Err(client.handle_eof().into())),
                    _ => {}
                }
                let opened = client.handle(read.filled())?;
                Poll::Ready(Ok(opened.map(|opened| {
                    let leftover = read.filled()[opened.consumed..].to_vec();
                    (opened, leftover)
                })))
            });
            match ready!(step) {
                Ok(None) => {}
                Ok(Some(answer)) => return Poll::Ready(Ok(answer)),
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    })
    .await
}

fn start(opened: Opened, handler: impl Handler) -> Sender {
    let sender = Sender::new(Arc::clone(&opened.link));
    start::start(opened, &Arc::new(Endpoint { handler, clients: None }));
    sender
}

async fn pull(opened: Opened) -> (WebSocket, Handshake) {
    let (give, take) = tokio::sync::oneshot::channel();
    let give = std::sync::Mutex::new(Some(give));
    start(
        opened,
        Pull {
            opened: move |socket, handshake| {
                let give = give.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take();
                if let Some(give) = give {
                    // Whoever connected has given up waiting: the socket closes as it is dropped.
                    let _ = give.send((socket, handshake));
                }
            },
        },
    );
    take.await.expect("a connection opens as it is started")
}
