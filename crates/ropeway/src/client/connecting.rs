//! Connecting: from a URL to a stream, from the stream to a connection, and from the connection to its user.
//!
//! These are separate steps, so that others can be put between them. A proxy is one more [`Route`]: it is dialled
//! instead of the URL's host and asked for a tunnel, and TLS goes through the tunnel. A redirect starts again with
//! another target in [`Connecting::open`], within the same timeout. Reconnecting is a layer above: it keeps a
//! [`Client`] and a URL, and connects again.

use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;

use ropeway_proto::handshake::{ClientError, ClientHandshake, Target};
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::dial::{self, Tried};
use super::settings::Client;
use super::shake::shake_hands;
#[cfg(feature = "tls")]
use super::tls;
use crate::connection::{self, Endpoint, Handler, Opened};
use crate::error::Error;
use crate::handle::Handle;
use crate::handshake::Handshake;
use crate::io::Transport;
use crate::listen::{Listen, Listeners};
use crate::pull::{Pull, WebSocket};
use crate::random;

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

/// Starting to connect.
impl Client {
    /// Connects to a `ws://` or `wss://` URL. If this is awaited, the result is a [`WebSocket`], for the pull API.
    /// [`Connecting`] has the other ways to use the connection, and the other ways to reach the server.
    pub fn connect<'a>(&'a self, url: &'a str) -> Connecting<'a> {
        Connecting { client: self, url, route: Route::Dial }
    }
}

/// A connection to be made, from [`Client::connect`].
///
/// The client dials the URL's host, unless you pass a stream with [`over`](Self::over) or
/// [`over_secured`](Self::over_secured). The last call chooses how you use the connection, and connects:
///
/// | call | use | result |
/// |---|---|---|
/// | `.await` | the pull API | [`WebSocket`] |
/// | [`.with_handshake().await`](Self::with_handshake) | the pull API | [`WebSocket`], [`Handshake`] |
/// | [`.on_connection(…).await`](Self::on_connection) | listeners | [`Handle`] |
/// | [`.handle_with(…).await`](Self::handle_with) | a [`Handler`] | [`Handle`] |
///
/// A mistake of the caller, such as an invalid URL, is an error before anything is dialled or written. Each of these
/// calls fails after the [handshake timeout](Client::handshake_timeout). Dropping the future gives up, and closes the
/// stream.
///
/// ```no_run
/// # async fn run(stream: tokio::net::UnixStream) -> Result<(), ropeway::Error> {
/// use ropeway::Client;
///
/// let client = Client::new();
/// let ws = client.connect("wss://example.org/feed").await?;
/// let (ws, handshake) = client.connect("ws://localhost/feed").over(stream).with_handshake().await?;
/// let handle = client
///     .connect("wss://example.org/feed")
///     .on_connection(|ws, handshake| {
///         println!("the server answered with {:?}", handshake.response.headers());
///         ws.on_message(|_, message| println!("{message:?}"));
///     })
///     .await?;
/// # Ok(())
/// # }
/// ```
#[must_use = "nothing is connected until this is awaited, or given a handler"]
pub struct Connecting<'a> {
    client: &'a Client,
    url: &'a str,
    route: Route,
}

/// The way to the server.
impl Connecting<'_> {
    /// Connects over a stream that leads to the server of the URL, such as a proxy's or a Unix socket's. For `wss://`,
    /// the client does TLS over it, with its own settings.
    pub fn over(mut self, stream: impl Into<Transport>) -> Self {
        self.route = Route::Over(stream.into());
        self
    }

    /// Connects over a stream that needs no TLS from this client, whatever the URL's scheme: it has TLS already, or
    /// does not leave the machine. **Everything is written to it as it is**, passwords too.
    ///
    /// ```no_run
    /// # async fn run(tls: impl ropeway::Io) -> Result<(), ropeway::Error> {
    /// let stream = ropeway::Transport::other(tls);
    /// let ws = ropeway::Client::new().connect("wss://example.org/feed").over_secured(stream).await?;
    /// # Ok(())
    /// # }
    /// ```
    pub fn over_secured(mut self, stream: impl Into<Transport>) -> Self {
        self.route = Route::Secured(stream.into());
        self
    }
}

/// The use of the connection.
impl Connecting<'_> {
    /// Connects for the pull API, and returns the opening handshake too.
    pub async fn with_handshake(self) -> Result<(WebSocket, Handshake), Error> {
        let (give, take) = oneshot::channel();
        let opened = |ws, handshake: Handshake<oneshot::Sender<_>>| {
            let (give, handshake) = handshake.replace(());
            // If the caller has stopped waiting, the WebSocket is dropped here, which closes the connection.
            let _ = give.send((ws, handshake));
        };
        self.start(Pull { opened }, give).await?;
        // A connection that is started is opened, too. If it was not, its runtime has ended.
        take.await.map_err(|_| Error::Connect(io::Error::other("the runtime of the connection has ended")))
    }

    /// Connects for listeners. `listen` is called once, when the connection is open, to put listeners on it. The
    /// listeners miss no message.
    pub async fn on_connection<F>(self, listen: F) -> Result<Handle, Error>
    where
        F: FnOnce(&mut Listeners, Handshake) + Send + 'static,
    {
        let opened = |ws: &mut Listeners, handshake: Handshake<F>| {
            let (listen, handshake) = handshake.replace(());
            listen(ws, handshake);
        };
        self.start(Listen(opened), listen).await
    }

    /// Connects for a [`Handler`], which gets the opening handshake in [`on_open`](Handler::on_open).
    pub async fn handle_with(self, handler: impl Handler) -> Result<Handle, Error> {
        self.start(handler, ()).await
    }

    /// Connects for a handler, which gets `value` with the handshake. A closure that is called once comes this way.
    async fn start<T: Send + 'static>(self, handler: impl Handler<T>, value: T) -> Result<Handle, Error> {
        let opened = self.open().await?;
        let handle = Handle::new(Arc::clone(&opened.link));
        connection::start(opened, &Arc::new(Endpoint { handler, clients: None }), value).map_err(Error::Connect)?;
        Ok(handle)
    }

    /// Gets a stream and does the handshake over it.
    async fn open(self) -> Result<Opened, Error> {
        let Self { client, url, route } = self;
        let target: Target = url.parse().map_err(ClientError::from)?;
        // Mistakes of the caller are found before anything is connected.
        let mut handshake = ClientHandshake::new(&target, &client.options()?, random::bytes())?;
        let (mut tried, mut stage) = (Tried::default(), Stage::Dialling);
        let opened = timeout(client.handshake_timeout, async {
            let stream = match route {
                Route::Dial => {
                    let tcp = dial::connect(target.host(), target.port(), &mut tried).await.map_err(Error::Connect)?;
                    secure(client, tcp.into(), &target, &mut stage).await?
                }
                Route::Over(stream) => secure(client, stream, &target, &mut stage).await?,
                Route::Secured(stream) => stream,
            };
            stage = Stage::ShakingHands;
            shake_hands(&mut handshake, stream, &client.keys, &client.connection).await
        });
        opened.await.unwrap_or_else(|_| Err(stage.into_timeout(tried, &target, &mut handshake)))
    }
}

/// Connects for the pull API.
impl<'a> IntoFuture for Connecting<'a> {
    type Output = Result<WebSocket, Error>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send + 'a>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async { Ok(self.with_handshake().await?.0) })
    }
}

/// The URL is not shown, since it may contain a password.
impl fmt::Debug for Connecting<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connecting").field("client", &self.client).field("route", &self.route).finish_non_exhaustive()
    }
}

/// The way to a stream.
#[derive(Debug)]
enum Route {
    /// Connect to the URL's host.
    Dial,
    /// Use this stream.
    Over(Transport),
    /// Use this stream, without TLS from this client.
    Secured(Transport),
}

/// Does TLS if the URL asks for it.
#[cfg_attr(not(feature = "tls"), expect(clippy::unused_async, reason = "with the feature there is something to await"))]
async fn secure(client: &Client, stream: Transport, target: &Target, stage: &mut Stage) -> Result<Transport, Error> {
    if !target.is_secure() {
        return Ok(stream);
    }
    *stage = Stage::Securing;
    #[cfg(feature = "tls")]
    return tls::connect(stream, target.host(), client.tls.clone()).await;
    #[cfg(not(feature = "tls"))]
    {
        let _ = client;
        Err(Error::Tls(io::Error::new(
            io::ErrorKind::Unsupported,
            "wss:// needs ropeway's `tls` feature, or a stream with TLS of your own (`Connecting::over_secured`)",
        )))
    }
}

/// The stage of connecting, for the error if the time is up.
enum Stage {
    Dialling,
    Securing,
    ShakingHands,
}

impl Stage {
    fn into_timeout(self, tried: Tried, target: &Target, handshake: &mut ClientHandshake) -> Error {
        match self {
            Self::Dialling => Error::Connect(tried.into_timeout(target.host())),
            Self::Securing => Error::Tls(io::Error::new(
                io::ErrorKind::TimedOut,
                "the server did not finish it in time (RFC 6455 section 4.1); check that the port speaks TLS, or allow more time",
            )),
            Self::ShakingHands => handshake.handle_timeout().into(),
        }
    }
}
