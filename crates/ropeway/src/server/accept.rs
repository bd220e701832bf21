//! The answer of an application that lets a client in: what it chooses for this one connection.

use std::fmt;

use http::{HeaderName, HeaderValue, Request};
use ropeway_proto::handshake::{self, Fault, Refusal};

use crate::settings::{ConnectionSettings, connection_setters};

/// Lets a client in, on terms of its own where they differ from its route's, and hands a value of type `T` over to the handler.
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

/// What may be chosen, whatever the value.
#[derive(Default)]
struct Choice {
    /// Some where the application decides: for one subprotocol, or for none.
    subprotocol: Option<Option<String>>,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// The first header whose name or value is none.
    invalid: Option<Fault>,
    changes: Vec<Box<dyn FnOnce(&mut ConnectionSettings) + Send>>,
}

impl Accept {
    /// Lets the client in.
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
    /// Lets the client in. The handler gets `value`, as [`Handshake::value`](crate::Handshake::value).
    pub fn with(value: T) -> Self {
        Self { value, choice: Choice::default() }
    }

    /// Agrees on this subprotocol, whatever the route speaks. It must be one of those that
    /// [the client offers](crate::UpgradeRequest::subprotocols) (RFC 6455 section 4.2.2); otherwise the client is refused with 500.
    pub fn subprotocol(mut self, name: impl Into<String>) -> Self {
        self.choice.subprotocol = Some(Some(name.into()));
        self
    }

    /// Agrees on no subprotocol, whatever the route speaks.
    pub fn without_subprotocol(mut self) -> Self {
        self.choice.subprotocol = Some(None);
        self
    }

    /// Adds a header to the answer, such as a cookie. If it is one that the handshake sets by itself, or if name or value are
    /// not valid (RFC 9110 section 5.5), the client is refused with 500.
    pub fn header(mut self, name: impl TryInto<HeaderName>, value: impl TryInto<HeaderValue>) -> Self {
        match Refusal::checked_header(name, value) {
            Ok(header) => self.choice.headers.push(header),
            Err(fault) => drop(self.choice.invalid.get_or_insert(fault)),
        }
        self
    }

    /// The same choice with another value.
    pub(super) fn map<U>(self, map: impl FnOnce(T) -> U) -> Accept<U> {
        Accept { value: map(self.value), choice: self.choice }
    }

    /// Puts the choice into effect: changes the answer to a request that was accepted on its route's settings, and the settings.
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
        if let Some(name) = subprotocol {
            accepted.choose_subprotocol(request, name.as_deref())?;
        }
        for (name, value) in headers {
            accepted.add_header(name, value)?;
        }
        if !changes.is_empty() {
            changes.into_iter().for_each(|change| change(settings));
            accepted.choose_deflate(request, settings.deflate.as_ref())?;
        }
        Ok(self.value)
    }
}

/// Settings of this connection, where they differ from its route's. With limits or times of its own it holds about 150 bytes more.
impl<T> Accept<T> {
    connection_setters!();

    fn change(mut self, change: impl FnOnce(&mut ConnectionSettings) + Send + 'static) -> Self {
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
