//! The answer of an application that accepts a client, with settings for this one connection.

use std::fmt;

use http::{HeaderName, HeaderValue, Request};
use ropeway_proto::handshake::{self, Fault, Refusal};

use crate::settings::{ConnectionSettings, connection_setters};

/// Accepts a client. It can change the route's settings for this connection, and passes a value of type `T` to the
/// handler.
///
/// ```
/// use ropeway::{Accept, Refusal, Server, UpgradeRequest};
///
/// struct User {
///     name: String,
/// }
///
/// async fn log_in(request: UpgradeRequest) -> Result<Accept<User>, Refusal> {
///     // This may wait, such as for a database.
///     let name = request.header("x-user").ok_or_else(|| Refusal::new(401, "Log in first."))?;
///     let user = User { name: name.to_owned() };
///     Ok(Accept::with(user).header("set-cookie", "seen=1").max_payload(64 * 1024))
/// }
///
/// let server = Server::builder().build();
/// server.at("/chat").authorize(log_in).on_connection(|ws, handshake| {
///     ws.send(format!("hello {}", handshake.value.name)).ok();
/// });
/// ```
#[must_use = "nobody is let in until this is returned"]
pub struct Accept<T = ()> {
    value: T,
    choice: Choice,
}

/// The choices, apart from the value.
#[derive(Default)]
struct Choice {
    subprotocol: Subprotocol,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The first header whose name or value is invalid.
    invalid: Option<Fault>,
    changes: Vec<Change>,
}

/// The choice of a subprotocol.
#[derive(Debug, Default)]
enum Subprotocol {
    /// The route's.
    #[default]
    Negotiated,
    None,
    Chosen(String),
}

/// A change of the settings of one connection.
type Change = Box<dyn FnOnce(&mut ConnectionSettings) + Send>;

impl Accept {
    /// Accepts the client.
    pub fn new() -> Self {
        Self::with(())
    }
}

impl Default for Accept {
    fn default() -> Self {
        Self::new()
    }
}

impl<T> Accept<T> {
    /// Accepts the client. The handler gets `value` as [`Handshake::value`](crate::Handshake::value).
    pub fn with(value: T) -> Self {
        Self { value, choice: Choice::default() }
    }

    /// Agrees on this subprotocol, even if the route does not speak it. It must be one of those that [the client
    /// offers](crate::UpgradeRequest::subprotocols) (RFC 6455 section 4.2.2); otherwise the client is refused with 500.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.choice.subprotocol = Subprotocol::Chosen(name.into());
        self
    }

    /// Agrees on no subprotocol, even if the route speaks one that the client offers.
    pub fn without_subprotocol(mut self) -> Self {
        self.choice.subprotocol = Subprotocol::None;
        self
    }

    /// Adds a header to the answer, such as a cookie. If the handshake sets this header itself, or if name or value are
    /// not valid (RFC 9110 section 5.5), the client is refused with 500.
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        match handshake::header(name, value) {
            Ok(header) => self.choice.headers.push(header),
            Err(name) => drop(self.choice.invalid.get_or_insert(Fault::HeaderInvalid(name))),
        }
        self
    }

    /// The same choices, with another value.
    pub(super) fn map<U>(self, map: impl FnOnce(T) -> U) -> Accept<U> {
        Accept { value: map(self.value), choice: self.choice }
    }

    /// Applies the choices: changes the answer to a request that was accepted with its route's settings, and those
    /// settings.
    pub(super) fn apply(
        self,
        request: &Request<()>,
        accepted: &mut handshake::Accepted,
        settings: &mut ConnectionSettings,
    ) -> Result<T, Refusal> {
        let Choice { subprotocol, headers, invalid, changes } = self.choice;
        if let Some(fault) = invalid {
            return Err(fault.into());
        }
        match subprotocol {
            Subprotocol::Negotiated => {}
            Subprotocol::None => accepted.choose_subprotocol(request, None)?,
            Subprotocol::Chosen(name) => accepted.choose_subprotocol(request, Some(&name))?,
        }
        for (name, value) in headers {
            accepted.add_header(name, value)?;
        }
        if !changes.is_empty() {
            for change in changes {
                change(settings);
            }
            accepted.choose_deflate(request, settings.deflate.as_ref())?;
        }
        Ok(self.value)
    }
}

/// Settings of this connection, if they differ from its route's. A connection with limits or times of its own holds
/// about 150 bytes more.
impl<T> Accept<T> {
    connection_setters!();

    pub(super) fn change(mut self, change: impl FnOnce(&mut ConnectionSettings) + Send + 'static) -> Self {
        self.choice.changes.push(Box::new(change));
        self
    }
}

impl<T> fmt::Debug for Accept<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accept")
            .field("subprotocol", &self.choice.subprotocol)
            .field("headers", &self.choice.headers)
            .finish_non_exhaustive()
    }
}
