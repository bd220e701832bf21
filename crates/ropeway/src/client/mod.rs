//! The client: its settings, and the order of things: dialling, TLS, the opening handshake.

mod dial;
mod shake;
#[cfg(feature = "tls")]
mod tls;
#[cfg(feature = "tls")]
mod trust;

use std::io;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use ropeway_proto::MaskingKeys;
use ropeway_proto::handshake::{ClientError, ClientHandshake, ClientOptions, Limits as HeadLimits, Target};
use tokio::time::timeout;

use crate::connection::{self, Endpoint, Handler, Opened};
use crate::error::Error;
use crate::handle::Handle;
use crate::handshake::Handshake;
use crate::io::Transport;
use crate::listen::{Listen, Listeners};
use crate::pull::{Pull, WebSocket};
use crate::random;
use crate::settings::{ConnectionSettings, connection_setters};
use dial::Tried;
use shake::shake_hands;

/// Connects to a `ws://` or `wss://` URL with the default settings.
///
/// ```no_run
/// # async fn run() -> Result<(), ropeway::Error> {
/// let mut ws = ropeway::connect("wss://example.org/feed").await?;
/// ws.send("hello").await?;
/// while let Some(message) = ws.recv().await? {
///     println!("{message:?}");
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
    /// Compression is in `connection`.
    options: ClientOptions,
    connection: ConnectionSettings,
    keys: MaskingKeys,
    handshake_timeout: Duration,
    #[cfg(feature = "tls")]
    tls: Option<Arc<tokio_rustls::rustls::ClientConfig>>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            options: ClientOptions::default(),
            connection: ConnectionSettings::client(),
            keys: MaskingKeys::new(random::mask),
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

    /// How long the head of the server's answer may be, and of how many lines. 256 KiB and 2,000 by default.
    ///
    /// ```
    /// let limits = ropeway::HeadLimits::client().max_headers(10_000);
    /// let client = ropeway::Client::new().head_limits(limits);
    /// ```
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.options.limits = limits;
        self
    }

    /// How long connecting may take, from the name's resolution to the server's answer. 10 s by default.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// The function that returns the masking key of each frame; by default a key is the operating system's randomness.
    ///
    /// RFC 6455 section 10.3 asks for keys that nobody can foretell: else whoever chooses the payload chooses the bytes on the
    /// wire too, and could have a proxy between take them for a request. Where nobody else chooses payloads, as in a load
    /// test, or no proxy is between, cheaper keys will do. The key `[0; 4]` leaves the payload as it is.
    ///
    /// It may hold state, which all connections of this client and of its clones share; they call it from their own threads.
    ///
    /// A panic in it ends the connection on the spot, without a close frame and without the close event. Where a handler sends, it
    /// is the handler's panic: the connection is closed with 1011 if there is a key for that.
    ///
    /// ```
    /// use std::sync::atomic::{AtomicU32, Ordering};
    ///
    /// let client = ropeway::Client::new().generate_mask(|| [0; 4]);
    /// // Keys that a test can foretell.
    /// let next = AtomicU32::new(1);
    /// let client = client.generate_mask(move || next.fetch_add(1, Ordering::Relaxed).to_be_bytes());
    /// ```
    pub fn generate_mask(mut self, next: impl Fn() -> [u8; 4] + Send + Sync + 'static) -> Self {
        self.keys = MaskingKeys::new(next);
        self
    }

    /// The TLS settings for `wss://`, such as a client certificate; [`trust`](Client::trust) is for other roots. By default
    /// Mozilla's roots are trusted.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: Arc<tokio_rustls::rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }
}

/// Settings of each connection.
impl Client {
    connection_setters!();

    fn connection_settings(&mut self) -> &mut ConnectionSettings {
        &mut self.connection
    }
}

/// Connecting. All of these end with an error after the handshake timeout, and can be dropped at any time to give up.
impl Client {
    /// Connects, for a connection that is asked for its messages.
    pub async fn connect(&self, url: &str) -> Result<WebSocket, Error> {
        Ok(self.connect_full(url).await?.0)
    }

    /// Connects as [`connect`](Client::connect) does, and returns the opening handshake too.
    pub async fn connect_full(&self, url: &str) -> Result<(WebSocket, Handshake), Error> {
        pull(self.open(url, Route::Dial).await?).await
    }

    /// Connects, for a connection whose events a handler takes.
    pub async fn connect_with(&self, url: &str, handler: impl Handler) -> Result<Handle, Error> {
        start(self.open(url, Route::Dial).await?, handler)
    }

    /// Connects, for a connection that is listened to. `listen` is called once it is open, to put listeners on it.
    pub async fn listen<F>(&self, url: &str, listen: F) -> Result<Handle, Error>
    where
        F: Fn(&mut Listeners, Handshake) + Send + Sync + 'static,
    {
        self.connect_with(url, Listen(listen)).await
    }

    /// Connects over a stream that leads to the server of `url`, such as a proxy's or a Unix socket's. For `wss://` it does
    /// TLS over it, with these settings; a stream that has TLS of its own is for
    /// [`connect_over_secured`](Self::connect_over_secured).
    pub async fn connect_over(&self, url: &str, stream: impl Into<Transport>) -> Result<(WebSocket, Handshake), Error> {
        pull(self.open(url, Route::Over(stream.into())).await?).await
    }

    /// Connects over a stream that needs no TLS of ours, whatever the URL's scheme: it has its own, or does not leave the
    /// machine. **Everything is written to it as it is**, passwords too.
    ///
    /// ```no_run
    /// # async fn run(tls: impl ropeway::Io) -> Result<(), ropeway::Error> {
    /// let stream = ropeway::Transport::other(tls);
    /// let (ws, handshake) = ropeway::Client::new().connect_over_secured("wss://example.org/feed", stream).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub async fn connect_over_secured(
        &self,
        url: &str,
        stream: impl Into<Transport>,
    ) -> Result<(WebSocket, Handshake), Error> {
        pull(self.open(url, Route::Secured(stream.into())).await?).await
    }

    async fn open(&self, url: &str, route: Route) -> Result<Opened, Error> {
        let target: Target = url.parse().map_err(ClientError::from)?;
        // What the caller got wrong is known before anything is connected.
        let mut options = self.options.clone();
        options.deflate.clone_from(&self.connection.deflate);
        let mut client = ClientHandshake::new(&target, &options, random::bytes())?;
        let (mut tried, mut stage) = (Tried::default(), Stage::Dialling);
        let opened = timeout(self.handshake_timeout, async {
            let stream = match route {
                Route::Dial => {
                    let tcp = dial::connect(target.host(), target.port(), &mut tried).await.map_err(Error::Connect)?;
                    self.secure(tcp.into(), &target, &mut stage).await?
                }
                Route::Over(stream) => self.secure(stream, &target, &mut stage).await?,
                Route::Secured(stream) => stream,
            };
            stage = Stage::ShakingHands;
            shake_hands(&mut client, stream, &self.keys, &self.connection).await
        });
        opened.await.unwrap_or_else(|_| Err(stage.into_timeout(tried, &target, &mut client)))
    }

    /// Does TLS if the URL asks for it.
    #[cfg_attr(
        not(feature = "tls"),
        expect(clippy::unused_async, reason = "with the feature there is something to await")
    )]
    async fn secure(&self, stream: Transport, target: &Target, stage: &mut Stage) -> Result<Transport, Error> {
        if !target.is_secure() {
            return Ok(stream);
        }
        *stage = Stage::Securing;
        #[cfg(feature = "tls")]
        return tls::connect(stream, target.host(), self.tls.clone()).await;
        #[cfg(not(feature = "tls"))]
        Err(Error::Tls(io::Error::new(
            io::ErrorKind::Unsupported,
            "wss:// needs ropeway's `tls` feature, or a stream with TLS of your own (`Client::connect_over_secured`)",
        )))
    }
}

/// How a client comes to a stream.
enum Route {
    /// It connects to the URL's host.
    Dial,
    /// It was given one.
    Over(Transport),
    /// It was given one that needs no TLS of ours.
    Secured(Transport),
}

/// How far connecting has come, for the error if the time is up.
enum Stage {
    Dialling,
    Securing,
    ShakingHands,
}

impl Stage {
    fn into_timeout(self, tried: Tried, target: &Target, client: &mut ClientHandshake) -> Error {
        match self {
            Self::Dialling => Error::Connect(tried.into_timeout(target.host())),
            Self::Securing => Error::Tls(io::Error::new(
                io::ErrorKind::TimedOut,
                "the server did not finish it in time (RFC 6455 section 4.1); check that the port speaks TLS, or allow more time",
            )),
            Self::ShakingHands => client.handle_timeout().into(),
        }
    }
}

fn start(opened: Opened, handler: impl Handler) -> Result<Handle, Error> {
    let handle = Handle::new(Arc::clone(&opened.link));
    connection::start(opened, &Arc::new(Endpoint { handler, clients: None })).map_err(Error::Connect)?;
    Ok(handle)
}

async fn pull(opened: Opened) -> Result<(WebSocket, Handshake), Error> {
    let (give, take) = tokio::sync::oneshot::channel();
    let give = Mutex::new(Some(give));
    start(
        opened,
        Pull {
            opened: move |socket, handshake| {
                let give = give.lock().unwrap_or_else(PoisonError::into_inner).take();
                if let Some(give) = give {
                    // If the caller has given up waiting, the socket closes as it is dropped.
                    let _ = give.send((socket, handshake));
                }
            },
        },
    )?;
    // A connection is opened as it is started. If it was not, its runtime has ended.
    take.await.map_err(|_| Error::Connect(io::Error::other("the runtime of the connection has ended")))
}
