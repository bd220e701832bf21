//! The engine: servers, credentials and other settings.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use async_nats::ServerAddr;
use async_nats::rustls::ClientConfig;
use async_nats::rustls::pki_types::CertificateDer;
use percent_encoding::percent_decode_str;
use ropeway::engine::{Engine, EngineError, EngineFault, EngineFuture, Features, Inlet, Session};

use crate::access::{self, Credentials};
use crate::connect::{Connecting, Server};
use crate::history::Storing;
use crate::session::{Limits, NatsSession};
use crate::signals::Signals;
use crate::subject::{Subjects, is_token};

/// NATS as an engine.
///
/// ```
/// use ropeway_nats::Nats;
///
/// let engine = Nats::connect_to("nats://127.0.0.1:4222").password("chat", "secret").prefix("chat");
/// assert_eq!(ropeway::engine::Engine::address(&engine), "nats://127.0.0.1:4222");
/// ```
#[derive(Clone)]
pub struct Nats {
    connecting: Connecting,
    subjects: Subjects,
    storing: Storing,
    max_waiting: usize,
    /// The first setting that cannot be used. Connecting reports it.
    mistake: Option<String>,
}

impl Nats {
    /// An engine that connects to a server, such as `nats://127.0.0.1:4222`. For TLS write `tls://`. A URL may have a user
    /// and a password, or a token, before an `@`.
    ///
    /// If the URL cannot be used, [`Engine::connect`] fails with [`EngineFault::Settings`].
    pub fn connect_to(url: impl AsRef<str>) -> Self {
        let subjects = Subjects::below("rw");
        let connecting = Connecting {
            servers: Vec::new(),
            first: Arc::default(),
            credentials: Credentials::None,
            tls: None,
            timeout: Duration::from_secs(5),
            ping_interval: Duration::from_secs(5),
            inbox: subjects.inbox(),
        };
        let storing = Storing { replicas: 1, in_memory: false };
        Self { connecting, subjects, storing, max_waiting: 32 << 20, mistake: None }.or(url)
    }

    /// Adds another server of the same cluster. A node connects to the first that can be used, and
    /// when its session has ended, to the same or the next.
    pub fn or(mut self, url: impl AsRef<str>) -> Self {
        match server(url.as_ref()) {
            Ok(server) => self.connecting.servers.push(server),
            Err(mistake) => self.note(mistake),
        }
        self
    }

    /// A user and a password.
    pub fn password(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        self.connecting.credentials = Credentials::Password { user: user.into(), password: password.into() };
        self
    }

    /// A token.
    pub fn token(mut self, token: impl Into<String>) -> Self {
        self.connecting.credentials = Credentials::Token(token.into());
        self
    }

    /// The seed of a user's nkey, which begins with `SU`.
    pub fn nkey(mut self, seed: impl Into<String>) -> Self {
        self.connecting.credentials = Credentials::Nkey(seed.into());
        self
    }

    /// The text of a `.creds` file.
    pub fn credentials(mut self, text: impl Into<String>) -> Self {
        self.connecting.credentials = Credentials::File(text.into());
        self
    }

    /// Trusts these certificates as authorities, instead of Mozilla's roots.
    ///
    /// ```no_run
    /// use ropeway_nats::Nats;
    /// use ropeway_nats::rustls::pki_types::{CertificateDer, pem::PemObject};
    ///
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let authority = CertificateDer::from_pem_file("authority.pem")?;
    /// let engine = Nats::connect_to("tls://nats.internal:4222").trust([authority]);
    /// # Ok(())
    /// # }
    /// ```
    pub fn trust(mut self, certificates: impl IntoIterator<Item = CertificateDer<'static>>) -> Self {
        let certificates: Vec<_> = certificates.into_iter().collect();
        match access::tls(Some(&certificates)) {
            Ok(tls) => self.connecting.tls = Some(tls),
            Err(error) => self.note(error.to_string()),
        }
        self
    }

    /// The settings of TLS, such as a client certificate. By default Mozilla's roots are trusted.
    pub fn tls(mut self, settings: ClientConfig) -> Self {
        self.connecting.tls = Some(settings);
        self
    }

    /// The first token of all subjects, and the beginning of the names of streams. Applications that share a broker need
    /// different ones. It has letters, digits, `-` and `_`; by default it is `rw`.
    pub fn prefix(mut self, prefix: impl AsRef<str>) -> Self {
        let prefix = prefix.as_ref();
        if is_token(prefix) {
            self.subjects = Subjects::below(prefix);
            self.connecting.inbox = self.subjects.inbox();
        } else {
            self.note(format!("the prefix {prefix:?} cannot be used; write one word of letters, digits, `-` and `_`"));
        }
        self
    }

    /// The time limit for connecting to a server, and for each call. 5 s by default. If the broker does not answer a call in
    /// this time, the session ends.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.connecting.timeout = timeout;
        self
    }

    /// The time after which a silent broker is asked whether it is there. 5 s by default. The session ends if the broker is
    /// silent for three times as long.
    pub fn ping_interval(mut self, interval: Duration) -> Self {
        self.connecting.ping_interval = interval.max(Duration::from_millis(1));
        self
    }

    /// The bytes of messages that may wait for this node, 32 MiB by default. If the node does not keep up, messages are
    /// dropped beyond that, and their topics are told.
    pub fn max_waiting(mut self, bytes: usize) -> Self {
        self.max_waiting = bytes;
        self
    }

    /// The number of servers of a cluster that keep each history, and the members of topics: 1, 3 or 5. 1 by default. With
    /// three, one server may be lost. The setting counts when a stream is made.
    pub fn replicas(mut self, replicas: u8) -> Self {
        if (1..=5).contains(&replicas) {
            self.storing.replicas = replicas;
        } else {
            self.note(format!("histories cannot have {replicas} replicas; write 1, 3 or 5"));
        }
        self
    }

    /// Keeps histories in the broker's memory instead of its files. The setting counts when a stream is made.
    pub fn in_memory(mut self) -> Self {
        self.storing.in_memory = true;
        self
    }

    /// Keeps the first mistake.
    fn note(&mut self, mistake: String) {
        self.mistake.get_or_insert(mistake);
    }

    async fn begin(&self, inlet: Inlet) -> Result<Arc<dyn Session>, EngineError> {
        if let Some(mistake) = &self.mistake {
            return Err(EngineError::new(EngineFault::Settings, mistake));
        }
        let mut connecting = self.connecting.clone();
        if connecting.tls.is_none() {
            connecting.tls = Some(access::tls(None)?);
        }
        let signals = Signals::new();
        let client = connecting.connect(&signals).await?;
        let limits = Limits { timeout: connecting.timeout, max_waiting: self.max_waiting };
        let session = NatsSession::begin(client, self.subjects.clone(), signals, inlet, limits, self.storing).await?;
        Ok(Arc::new(session))
    }
}

impl Engine for Nats {
    fn address(&self) -> String {
        let servers: Vec<String> = self.connecting.servers.iter().map(Server::shown).collect();
        servers.join(", ")
    }

    fn features(&self) -> Features {
        Features::NONE.with_history(true).with_presence(true)
    }

    fn connect(&self, inlet: Inlet) -> EngineFuture<'_, Arc<dyn Session>> {
        Box::pin(self.begin(inlet))
    }
}

/// Without credentials.
impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats")
            .field("servers", &self.address())
            .field("prefix", &self.subjects.prefix())
            .finish_non_exhaustive()
    }
}

/// Takes the credentials out of a URL.
fn server(url: &str) -> Result<Server, String> {
    // The text is not shown, since it may have a password.
    let write = "write nats://HOST:PORT or tls://HOST:PORT";
    let address: ServerAddr =
        url.parse().map_err(|error| format!("a server's URL cannot be used ({error}); {write}"))?;
    if address.host().is_empty() || address.is_websocket() {
        return Err(format!(
            "a server's URL cannot be used (its scheme is {}, its host {:?}); {write}",
            address.scheme(),
            address.host()
        ));
    }
    let decode = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
    let credentials = address.username().map(|user| match address.password() {
        Some(password) => Credentials::Password { user: decode(user), password: decode(password) },
        None => Credentials::Token(decode(user)),
    });
    Ok(Server { address, credentials })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_password_is_shown() {
        let engine =
            Nats::connect_to("nats://chat:s%20cret@[::1]:4223").or("tls://tok@example.com").password("u", "s cret");
        assert_eq!(engine.address(), "nats://[::1]:4223, tls://example.com:4222");
        assert!(!format!("{engine:?}").contains("cret"), "{engine:?}");
        let credentials = engine.connecting.servers[0].credentials.clone();
        assert!(
            matches!(credentials, Some(Credentials::Password { user, password }) if user == "chat" && password == "s cret")
        );
        assert!(matches!(&engine.connecting.servers[1].credentials, Some(Credentials::Token(token)) if token == "tok"));
    }

    #[test]
    fn the_first_mistake_is_kept() {
        for (engine, word) in [
            (Nats::connect_to("http://127.0.0.1").prefix("a.b"), "http"),
            (Nats::connect_to("nats://h").prefix("a.b").or("x://"), "a.b"),
            (Nats::connect_to("ws://127.0.0.1"), "ws"),
            (Nats::connect_to("nats://h").trust([]), "no certificate"),
        ] {
            let mistake = engine.mistake.expect("there is a mistake");
            assert!(mistake.contains(word), "{mistake}");
        }
    }
}
