//! The settings of a client.

#[cfg(feature = "tls")]
use std::sync::Arc;
use std::time::Duration;

use http::header::{HeaderMap, HeaderName, HeaderValue};
use ropeway_proto::MaskingKeys;
use ropeway_proto::handshake::{self, ClientError, ClientOptions, Limits as HeadLimits, hide_secrets};

use crate::random;
use crate::settings::{ConnectionSettings, connection_setters};

/// The settings of a client, for any number of connections. All have safe defaults. Options that npm `ws` has too have
/// the same names here.
///
/// ```no_run
/// # async fn run() -> Result<(), ropeway::Error> {
/// let ws = ropeway::Client::new()
///     .header("authorization", "Bearer 1234")
///     .subprotocols(["chat.v2"])
///     .connect("ws://127.0.0.1:8005/chat")
///     .await?;
/// println!("we speak {:?}", ws.subprotocol());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Client {
    /// Their `deflate` is not used: that of `connection` replaces it.
    options: ClientOptions,
    /// The first setting that is invalid. Each connection fails with it.
    mistake: Option<ClientError>,
    pub(super) connection: ConnectionSettings,
    pub(super) keys: MaskingKeys,
    pub(super) handshake_timeout: Duration,
    #[cfg(feature = "tls")]
    pub(super) tls: Option<Arc<tokio_rustls::rustls::ClientConfig>>,
}

impl Default for Client {
    fn default() -> Self {
        Self {
            options: ClientOptions::default(),
            mistake: None,
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

    /// Sends a header with the opening handshake. Several headers of the same name are all sent.
    ///
    /// Name and value may be text. If they are not a valid header, each connection of this client fails before anything
    /// is dialled.
    ///
    /// ```
    /// use ropeway::http::header;
    ///
    /// let client = ropeway::Client::new().header("cookie", "id=1").header(header::ACCEPT_LANGUAGE, format!("{}, en", "de"));
    /// ```
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        match handshake::header(name, value) {
            Ok((name, value)) => drop(self.options.headers.append(name, value)),
            Err(Some(name)) => self.note(ClientError::InvalidHeaderValue(name)),
            Err(None) => self.note(ClientError::InvalidHeaderName),
        }
        self
    }

    /// Sends these headers with the opening handshake, and no others.
    pub fn headers(mut self, mut headers: HeaderMap) -> Self {
        hide_secrets(&mut headers);
        self.options.headers = headers;
        self
    }

    /// The `Origin` to send. By default none is sent, since this client is not a browser.
    pub fn origin(mut self, origin: impl Into<String>) -> Self {
        self.options.origin = Some(origin.into());
        self
    }

    /// The subprotocols to offer, the preferred one first.
    pub fn subprotocols<S: Into<String>>(mut self, subprotocols: impl IntoIterator<Item = S>) -> Self {
        self.options.subprotocols = subprotocols.into_iter().map(Into::into).collect();
        self
    }

    /// Limits for the head of the server's answer: its length and the number of its lines. 256 KiB and 2,000 by
    /// default.
    ///
    /// ```
    /// let limits = ropeway::HeadLimits::client().max_headers(10_000);
    /// let client = ropeway::Client::new().head_limits(limits);
    /// ```
    pub fn head_limits(mut self, limits: HeadLimits) -> Self {
        self.options.limits = limits;
        self
    }

    /// The time limit for connecting, from the name's resolution to the server's answer. 10 s by default.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Sets the function that returns the masking key of each frame. By default keys are random bytes of the operating
    /// system.
    ///
    /// RFC 6455 section 10.3 asks for keys that cannot be predicted. Otherwise a party that chooses the payload also
    /// chooses the bytes on the wire, and a proxy in between could take them for a request. If no other party chooses
    /// payloads, as in a load test, or if there is no proxy in between, cheaper keys are sufficient. The key `[0; 4]`
    /// leaves the payload as it is.
    ///
    /// The function may hold state. All connections of this client and of its clones share it, and call it from their
    /// own threads.
    ///
    /// If it panics, the connection ends at once, without a close frame. The end is an error, and its cause is
    /// [`Cause::Abandoned`](crate::Cause::Abandoned). If a handler is sending, the panic counts as the handler's. The
    /// connection is then closed with 1011, if there is a key for that frame.
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

    /// The TLS settings for `wss://`, such as a client certificate. To trust other roots, use [`trust`](Client::trust)
    /// or [`trust_also`](Client::trust_also). By default Mozilla's roots are trusted.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, config: Arc<tokio_rustls::rustls::ClientConfig>) -> Self {
        self.tls = Some(config);
        self
    }
}

/// Settings of each connection.
impl Client {
    connection_setters!();

    fn change(mut self, change: impl FnOnce(&mut ConnectionSettings)) -> Self {
        change(&mut self.connection);
        self
    }
}

impl Client {
    /// Keeps the first mistake.
    fn note(&mut self, mistake: ClientError) {
        self.mistake.get_or_insert(mistake);
    }

    /// The options of the opening handshake, or the first invalid setting.
    pub(super) fn options(&self) -> Result<ClientOptions, ClientError> {
        if let Some(mistake) = &self.mistake {
            return Err(mistake.clone());
        }
        let mut options = self.options.clone();
        options.deflate.clone_from(&self.connection.deflate);
        Ok(options)
    }
}
